package owner

import "math"

// guess is a search of one process for a socket, by looks at those of its descriptors that are
// likely to have been given out.
type guess struct {
	last         *last
	p            *process
	inode        uint32 // of the socket
	ends         uint64 // of clients, before it was there
	limit, looks int
	closed       int // looks at descriptors that were closed
}

// run returns the holder, or the zero value. Where all descriptors are closed it looks whether the
// process goes on.
func (g *guess) run() holder {
	p := g.p
	if h, ok := g.freed(); ok {
		return h
	}
	newest := len(p.fds) - 1
	if p.repeating && newest > 0 && g.looks < g.limit {
		if hit, _ := g.at(newest); hit {
			return g.last.holder(p, newest)
		}
		p.repeating = false
	}
	if p.growing {
		if h, ok := g.above(); ok {
			return h
		}
	}
	if h, ok := g.freedLater(); ok {
		return h
	}
	if h, ok := g.oldestFirst(newest); ok {
		return h
	}
	if !p.growing {
		if h, ok := g.above(); ok {
			p.growing = true
			return h
		}
	}
	if g.closed == g.looks && g.looks > 0 { // perhaps it has ended
		if g.looks++; !p.goesOn(g.last.buf[:]) {
			g.last.forget(p)
		}
	}
	return holder{}
}

// at looks at the descriptor p.fds[i]. It is busy while it holds the socket that it held before.
func (g *guess) at(i int) (hit, busy bool) {
	was := g.p.fds[i].inode
	g.looks++
	now := g.last.look(g.p, i)
	if now == 0 {
		g.closed++
	}
	return now == g.inode, now != 0 && now == was
}

// freed looks at descriptors that the process has probably closed, the lowest one first.
func (g *guess) freed() (h holder, ok bool) {
	for g.looks < g.limit {
		i := g.p.lowestFree(-1, 1, g.ends)
		if i < 0 {
			break
		}
		g.p.fds[i].freed = 0
		if hit, _ := g.at(i); hit {
			g.p.growing = false
			return g.last.holder(g.p, i), true
		}
	}
	return holder{}, false
}

// freedLater looks at those that it has probably closed since the socket was seen, the lowest one
// first: where packets come by several queues, the FIN may have come behind the SYN.
func (g *guess) freedLater() (h holder, ok bool) {
	for fd := -1; g.looks < g.limit; {
		i := g.p.lowestFree(fd, g.ends+1, math.MaxUint64)
		if i < 0 {
			break
		}
		fd = g.p.fds[i].fd
		if hit, _ := g.at(i); hit {
			return g.last.holder(g.p, i), true
		}
	}
	return holder{}, false
}

// above looks at the descriptors above those that are known, up to one that is closed.
func (g *guess) above() (h holder, ok bool) {
	p := g.p
	for g.looks < g.limit {
		g.looks++
		fd := p.next
		inode := p.look(fd, g.last.buf[:])
		if inode == 0 {
			g.closed++
			break
		}
		g.last.addDescriptor(p, fd, inode)
		if inode == g.inode {
			return holder{process: p, fd: fd}, true
		}
	}
	return holder{}, false
}

// oldestFirst looks at the known descriptors up to p.fds[newest].
func (g *guess) oldestFirst(newest int) (h holder, ok bool) {
	p, i := g.p, 0
	for n := newest; n >= 0 && g.looks < g.limit-1; n-- {
		switch hit, busy := g.at(i); {
		case hit:
			p.growing, p.repeating = false, n == 0
			return g.last.holder(p, i), true
		case busy:
			g.last.toEnd(p, i)
		case p.fds[i].closed > maxClosed:
			g.last.removeDescriptor(p, i)
		default: // closed, and perhaps the next to be given out, or with another socket
			i++
		}
	}
	return holder{}, false
}

// countFree returns how many descriptors the process has probably closed.
func (p *process) countFree() (n int) {
	for i := range p.fds {
		if p.fds[i].freed > 0 {
			n++
		}
	}
	return n
}

// lowestFree returns the index of the lowest descriptor above another that the process has probably
// closed by one of some ends, -1 if there is none.
func (p *process) lowestFree(above int, from, to uint64) int {
	lowest := -1
	for i := range p.fds {
		d := &p.fds[i]
		if d.freed >= from && d.freed <= to && d.fd > above && (lowest < 0 || d.fd < p.fds[lowest].fd) {
			lowest = i
		}
	}
	return lowest
}
