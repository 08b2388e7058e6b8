package app

import (
	"net/netip"
	"sync"

	"syntap/cmd/internal/owner"
	"syntap/tap"
)

// attribution names the local process in the records of its attempts. It works in a goroutine of its own: a process is looked
// up when its SYN has passed, while the far side is dialled, and its record comes after that in the same queue. What the queue
// has no room for goes on without a name.
type attribution struct {
	finder *owner.Finder
	local  func(netip.Addr) bool // whose processes are to be found
	next   func(*tap.Record)
	queue  chan attributed
	done   sync.WaitGroup // the goroutine

	owners map[tap.Key]*tap.Owner // of attempts without a record; the goroutine's
}

// attributed is a SYN or a record.
type attributed struct {
	key    tap.Key
	record *tap.Record
}

const (
	maxQueued = 2048  // memory for all of them is always there
	maxOwners = 16384 // of attempts that are open
)

// newAttribution returns one that passes records on to next, from its own goroutine or the caller's. Close ends it.
func newAttribution(local func(netip.Addr) bool, next func(*tap.Record)) (*attribution, error) {
	finder, err := owner.NewFinder()
	if err != nil {
		return nil, err
	}
	a := &attribution{
		finder: finder, local: local, next: next,
		queue: make(chan attributed, maxQueued), owners: make(map[tap.Key]*tap.Owner),
	}
	a.done.Go(a.run)
	return a, nil
}

// segment takes a segment as it passes, for tap.Options.OnSegment.
func (a *attribution) segment(k tap.Key, s tap.Segment) {
	if isSYN(s.Packet.Data) && a.local(k.Client.Addr()) {
		select {
		case a.queue <- attributed{key: k}:
		default:
		}
	}
}

// record takes a record, for tap.Options.OnRecord.
func (a *attribution) record(r *tap.Record) {
	if a.local(r.Client.Addr()) {
		select {
		case a.queue <- attributed{record: r}:
			return
		default:
		}
	}
	a.next(r)
}

// isSYN reports whether a packet is a SYN without ACK. Where extension headers hide it nobody is looked up.
func isSYN(packet []byte) bool {
	const tcp, syn, synACK = 6, 0x02, 0x12
	offset, proto := 40, 6
	if packet[0]>>4 == 4 {
		offset, proto = int(packet[0]&15)*4, 9
	}
	return len(packet) > offset+13 && packet[proto] == tcp && packet[offset+13]&synACK == syn
}

func (a *attribution) run() {
	for i := range a.queue {
		if i.record == nil {
			a.find(i.key)
			continue
		}
		key := tap.Key{Client: i.record.Client, Server: i.record.Server, ISN: i.record.ClientISN}
		i.record.Owner = a.owners[key]
		delete(a.owners, key)
		a.next(i.record)
	}
}

func (a *attribution) find(k tap.Key) {
	if _, again := a.owners[k]; again {
		return
	}
	if o, ok := a.finder.Find(k.Client, k.Server); ok {
		if len(a.owners) >= maxOwners {
			clear(a.owners)
		}
		a.owners[k] = &o
	}
}

// close returns when all records have been passed on. None may come after.
func (a *attribution) close() error {
	close(a.queue)
	a.done.Wait()
	return a.finder.Close()
}
