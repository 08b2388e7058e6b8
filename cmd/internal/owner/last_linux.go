package owner

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// last is the processes that have held sockets lately. Most connections are opened by a process
// that has opened others before, under a descriptor that one of these had and that is free again,
// or under the next one: it is found without a search, by a few system calls of a microsecond each.
//
// Processes that open connections at a rate are looked at in the order in which each is due. Of a
// process that opens one after the other the last descriptor comes first, then those that were
// found longest ago: the connection that was opened first is likely to end first. One that still
// holds the socket that it held before goes to the end: the process is busy with it. But before all
// of these come descriptors whose connections the process has just ended, the lowest one first,
// which the kernel gives out next.
type last struct {
	users     map[uint32][]*process       // that have held sockets of a user, the last one first
	processes []*process                  // all, the last one first
	clients   map[netip.AddrPort]*process // that hold sockets with these addresses
	round     uint64                      // of searches; in one each process is read once
	ends      uint64                      // FINs and RSTs of clients
	buf       [bufferSize]byte
}

// descriptor is one of a process, and the socket that it held when it was looked at.
type descriptor struct {
	fd     int
	inode  uint32
	client netip.AddrPort // address of the socket that it was found for; the zero value = not known
	freed  uint64         // the process has probably closed it, by the FIN with this number; 0 = it has not
	reused bool           // it was seen without this socket before
	closed int            // looks in a row at which it held no socket
}

// holder is a process and the descriptor under which it holds a socket.
type holder struct {
	*process
	fd     int
	reused bool // the descriptor was seen without the socket before
	fresh  bool // the process was read after the descriptor
	opened bool // it was not known before
}

const (
	lastDescriptors = 32 // of a process
	lastOfUser      = 32
	lastUsers       = 1024
	lastProcesses   = 128
	looksAtLast     = 12 // of one question
	looksAtOne      = 3  // of these at one process, where there are several, beside those that it has closed
	looksToConfirm  = 3
	maxClosed       = 16       // looks, after which a descriptor is not expected to be given out next
	bufferSize      = 16 << 10 // for a path, or the text of a file in /proc
)

func newLast() last {
	return last{users: make(map[uint32][]*process), clients: make(map[netip.AddrPort]*process)}
}

// find looks for the process that holds a socket, by a limited number of looks. With more it passes
// over the processes that it has looked at before for the same socket.
func (l *last) find(s Socket, limit int, more bool) (h holder, looks int) {
	processes := l.inOrder(s.UID, time.Now())
	for _, p := range processes { // seen there while another was asked for
		i := slices.IndexFunc(p.fds, func(d descriptor) bool { return d.inode == s.inode })
		if i < 0 {
			continue
		}
		if looks++; l.look(p, i) == s.inode {
			return l.holder(p, i), looks
		}
	}
	for i, p := range processes {
		few := min(limit-looks, looksAtOne+p.countFree())
		if i == len(processes)-1 || processes[i+1].due < notDue {
			few = limit - looks
		}
		if few <= 0 {
			break
		}
		if more && p.tried == s.inode {
			continue
		}
		g := guess{last: l, p: p, inode: s.inode, ends: s.ends, limit: few}
		h := g.run()
		if g.looks < few {
			p.tried = s.inode
		}
		if looks += g.looks; h.process != nil {
			return h, looks
		}
	}
	return holder{}, looks
}

// inOrder returns the processes of a user in the order in which the next connection is expected of
// them: first those that are due by their rate, the most overdue first, then the others, the last
// one first.
func (l *last) inOrder(uid uint32, now time.Time) []*process {
	processes := slices.Clone(l.users[uid])
	for _, p := range processes {
		since := now.Sub(p.foundAt)
		p.due = -since.Seconds()
		if p.interval > 0 && since < 16*p.interval+idleAfter {
			p.due = float64(since) / float64(p.interval)
		}
	}
	slices.SortStableFunc(processes, func(a, b *process) int { return cmp.Compare(b.due, a.due) })
	return processes
}

// notDue is less than what process.due is of those that were found in the last second.
const notDue = -1

// idleAfter is for how long a process is expected to go on.
const idleAfter = 100 * time.Millisecond

// closed notes that a client has sent its FIN or RST, with the number of this end: the next socket
// of its process is likely to have its descriptor.
func (l *last) closed(client netip.AddrPort, number uint64) {
	l.ends = number
	p := l.clients[client]
	if p == nil {
		return
	}
	delete(l.clients, client)
	for i := range p.fds {
		if p.fds[i].client == client {
			p.fds[i].freed = l.ends
		}
	}
}

// look looks at a descriptor again.
func (l *last) look(p *process, i int) uint32 {
	d := &p.fds[i]
	was := d.inode
	if d.inode = p.look(d.fd, l.buf[:]); d.inode != was {
		d.reused = true
	}
	if d.closed++; d.inode != 0 {
		d.closed = 0
	}
	return d.inode
}

// holder returns a process that holds a socket under the descriptor p.fds[i], which is the last one
// now.
func (l *last) holder(p *process, i int) holder {
	reused := p.fds[i].reused
	return holder{process: p, fd: l.toEnd(p, i), reused: reused}
}

// toEnd moves a descriptor that holds a socket to the end, and returns it.
func (l *last) toEnd(p *process, i int) (fd int) {
	d := p.fds[i]
	p.fds = append(slices.Delete(p.fds, i, i+1), d)
	return d.fd
}

// confirm makes sure that a process holds the socket, alone, and is what it was.
func (l *last) confirm(h holder, s Socket) Reason {
	switch {
	case !h.refreshIn(l.round, s, l.buf[:]) || h.fresh && h.look(h.fd, l.buf[:]) != s.inode:
		return Ended
	case h.isShared(s.inode, l.buf[:]) || len(s.rest) > 0 && !h.holdsAll(s.rest, l.buf[:]):
		return Shared
	default:
		return Found
	}
}

// known returns a process by its number, nil if it is not known. One that has ended is forgotten:
// its number may be another's by now.
func (l *last) known(pid int) *process {
	i := slices.IndexFunc(l.processes, func(p *process) bool { return p.PID == pid })
	if i < 0 {
		return nil
	}
	p := l.processes[i]
	if !p.goesOn(l.buf[:]) {
		l.forget(p)
		return nil
	}
	return p
}

// add remembers the holder of a socket as the last one.
func (l *last) add(h holder, s Socket) {
	if len(l.users) >= lastUsers && l.users[s.UID] == nil {
		l.close()
		return
	}
	p := h.process
	p.found(time.Now())
	if i := slices.Index(l.processes, p); i >= 0 {
		l.processes = slices.Delete(l.processes, i, i+1)
	} else if len(l.processes) == lastProcesses {
		l.forget(l.processes[lastProcesses-1])
	}
	l.processes = slices.Insert(l.processes, 0, p)
	if !slices.Contains(p.users, s.UID) {
		p.users = append(p.users, s.UID)
	}
	ofUser := slices.DeleteFunc(l.users[s.UID], func(other *process) bool { return other == p })
	l.users[s.UID] = slices.Insert(ofUser[:min(len(ofUser), lastOfUser-1)], 0, p)
	l.addDescriptor(p, h.fd, s.inode)
	if s.client.IsValid() {
		p.fds[len(p.fds)-1].client = s.client
		l.clients[s.client] = p
	}
}

// addDescriptor puts a descriptor at the end, in the place of what was known of it.
func (l *last) addDescriptor(p *process, fd int, inode uint32) {
	if i := slices.IndexFunc(p.fds, func(other descriptor) bool { return other.fd == fd }); i >= 0 {
		l.removeDescriptor(p, i)
	} else if len(p.fds) == lastDescriptors {
		l.removeDescriptor(p, 0)
	}
	p.fds = append(p.fds, descriptor{fd: fd, inode: inode})
	p.next = 0
	for _, d := range p.fds {
		p.next = max(p.next, d.fd+1)
	}
}

// removeDescriptor forgets p.fds[i].
func (l *last) removeDescriptor(p *process, i int) {
	if client := p.fds[i].client; l.clients[client] == p {
		delete(l.clients, client)
	}
	p.fds = slices.Delete(p.fds, i, i+1)
}

// forget forgets a process.
func (l *last) forget(p *process) {
	p.close()
	for len(p.fds) > 0 {
		l.removeDescriptor(p, len(p.fds)-1)
	}
	same := func(other *process) bool { return other == p }
	l.processes = slices.DeleteFunc(l.processes, same)
	for _, uid := range p.users {
		if l.users[uid] = slices.DeleteFunc(l.users[uid], same); len(l.users[uid]) == 0 {
			delete(l.users, uid)
		}
	}
}

// close forgets all.
func (l *last) close() {
	for _, p := range l.processes {
		p.close()
	}
	l.processes = nil
	clear(l.users)
	clear(l.clients)
}
