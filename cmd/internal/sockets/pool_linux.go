package sockets

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// Pool has sockets made by a Server. It is safe for concurrent use.
type Pool struct {
	asking sync.Mutex // one request at a time
	conn   *net.UnixConn
	attach *rate.Limiter

	mu     sync.Mutex // guards all below
	stocks [kinds]stock
	epoch  int // of Renew
	closed bool
	refill sync.WaitGroup
	tidied bool // tidy is about to be called
}

// stock is the sockets of a kind that wait to be used.
type stock struct {
	fds       []int
	size      int // how many there are after a refill
	refilling bool
	taken     bool // one was, lately
}

// idle is how long a stock is kept of which none is taken, about.
const idle = 5 * time.Second

// firstBatch is the size of a stock at first.
const firstBatch = 4

// NewPool returns a pool at one end of a socket of type SOCK_SEQPACKET, which it takes over.
func NewPool(conn *net.UnixConn) *Pool {
	return &Pool{conn: conn, attach: rate.NewLimiter(attachRate, attachRate)}
}

// Open returns a socket as socket(2) makes it, non-blocking and closed on exec.
func (p *Pool) Open(family, typ, proto int) (fd int, err error) {
	k := kindOf(arguments{family, typ, proto})
	if k == kinds {
		return -1, unix.EPROTONOSUPPORT
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.stocks[k]
	if len(s.fds) == 0 {
		if err := p.fill(k); err != nil {
			return -1, err
		}
	}
	fd = s.fds[0]
	s.fds = s.fds[1:]
	if s.taken = true; !p.tidied {
		p.tidied = true
		time.AfterFunc(idle, p.tidy)
	}
	if k.stocked() && len(s.fds) <= s.size/2 && !s.refilling && !p.closed {
		s.refilling = true
		p.refill.Go(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			_ = p.fill(k) // who needs one asks again, and sees the error
			s.refilling = false
		})
	}
	return fd, nil
}

// tidy closes the stocks of which none has been taken lately, and comes again while there are
// others.
func (p *Pool) tidy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidied = false
	for k := range p.stocks {
		s := &p.stocks[k]
		if !s.taken && !s.refilling {
			closeAll(s.fds)
			s.fds, s.size = nil, 0
		}
		s.taken = false
		p.tidied = p.tidied || len(s.fds) > 0
	}
	if p.tidied {
		time.AfterFunc(idle, p.tidy)
	}
}

// stocked reports whether sockets of a kind are made before they are needed. Those for echoes are
// seldom, and one that lies there could be taken for a client's.
func (k kind) stocked() bool { return k < ping4 }

func kindOf(a arguments) kind {
	for k, other := range all {
		if a == other {
			return kind(k)
		}
	}
	return kinds
}

// fill gets more sockets of a kind, at least one. mu is held, but not while the server works.
func (p *Pool) fill(k kind) error {
	for {
		s, epoch := &p.stocks[k], p.epoch
		count := 1
		if k.stocked() {
			count = max(firstBatch, min(2*s.size, Batch))
		}
		p.mu.Unlock()
		fds, err := p.ask(&request{Op: opOpen, Kind: k, Count: uint16(count)}, count)
		p.mu.Lock()
		switch {
		case err != nil:
			return err
		case epoch != p.epoch || p.closed:
			closeAll(fds)
			if p.closed {
				return net.ErrClosed
			}
			continue
		}
		s.size = count
		s.fds = append(s.fds, fds...)
		if len(s.fds) > 0 { // else others were quicker
			return nil
		}
	}
}

// Bind binds a socket to an address with a port below 1024.
func (p *Pool) Bind(fd int, to netip.AddrPort) error {
	q := request{Op: opBind, Port: to.Port(), Addr: to.Addr().As16()}
	if zone := to.Addr().Zone(); zone != "" {
		index, err := strconv.ParseUint(zone, 10, 32)
		if err != nil {
			link, err := net.InterfaceByName(zone)
			if err != nil {
				return fmt.Errorf("find interface %s: %w", zone, err)
			}
			index = uint64(link.Index)
		}
		q.Zone = uint32(index)
	}
	_, err := p.ask(&q, 0, fd)
	return err
}

// Attach calls farseq.Attach for a TCP socket that the server has made. It fails with EAGAIN when
// too many are attached a second, and with EPERM where the server lacks the capability.
func (p *Pool) Attach(fd int, ack, seq uint32) error {
	if !p.attach.Allow() { // the server would refuse it
		return unix.EAGAIN
	}
	_, err := p.ask(&request{Op: opAttach, Ack: ack, Seq: seq}, 0, fd)
	return err
}

// ask sends a request and returns the sockets that come, up to most.
func (p *Pool) ask(q *request, most int, along ...int) ([]int, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if err := send(p.conn, q.marshal(), along...); err != nil {
		return nil, fmt.Errorf("ask for sockets: %w", err)
	}
	var b [8]byte
	n, fds, err := receive(p.conn, b[:], max(most, 1))
	if err != nil {
		return nil, fmt.Errorf("receive sockets: %w", err)
	}
	errno, err := strconv.ParseUint(string(b[:n]), 10, 16)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err == nil && (len(fds) > most || most > 0 && len(fds) == 0) {
		err = unix.EPROTO
	}
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	return fds, nil
}

// Renew has sockets made anew: those that wait have settings of before.
func (p *Pool) Renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	p.closeStocks()
}

func (p *Pool) closeStocks() {
	for k := range p.stocks {
		closeAll(p.stocks[k].fds)
		p.stocks[k].fds = nil
	}
}

// Close closes the sockets that wait. Those in use stay open.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.closeStocks()
	p.mu.Unlock()
	err := p.conn.Close()
	p.refill.Wait()
	return err
}
