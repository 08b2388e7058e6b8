package owner

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// last is the descriptors under which processes have held sockets lately. Most connections are
// opened by a process that has opened others before, under a descriptor that one of these had and
// that is free again: it is found without a search, by a few system calls of a microsecond each.
//
// The connection that was opened first is likely to end first. So the descriptors of a user are
// looked at in the order in which they were found. One that still holds the socket that it held
// before goes to the end: the process is busy with it.
type last struct {
	users     map[uint32][]*descriptor // the next one to be looked at first
	processes []*lastProcess           // the last one first
	busy      [looksAtLast]*descriptor // scratch memory
	link      [pathMax]byte
}

// descriptor is one of a process, and the socket that it held when it was looked at.
type descriptor struct {
	process *lastProcess
	path    string // from /proc/PID
	inode   uint32
	closed  int // looks in a row at which it held no socket
}

// lastProcess is one whose name is known. Its directory stays its own when its number is given
// away.
type lastProcess struct {
	Process
	dir   int      // /proc/PID
	exe   string   // the file that it executed when it was named
	users []uint32 // of sockets under its descriptors
}

// named is a holder whose name is known, and its socket.
type named struct {
	holder
	exe   string
	name  string
	inode uint32
}

const (
	lastOfUser    = 64
	lastUsers     = 1024
	lastProcesses = 128
	looksAtLast   = 24 // of one question
	maxClosed     = 16 // looks, after which a descriptor is not expected to be given out next
	pathMax       = 4096
)

func newLast() last { return last{users: make(map[uint32][]*descriptor)} }

// find returns the process that holds a socket, and how many looks that took.
func (l *last) find(s Socket) (p Process, looks int) {
	all := l.users[s.UID]
	for i, d := range all { // seen there while another was asked for
		if d.inode != s.inode {
			continue
		}
		if looks++; l.look(d) == s.inode {
			copy(all[i:], all[i+1:])
			all[len(all)-1] = d
			return l.name(d, looks+1)
		}
		break
	}
	n, busy := 0, l.busy[:0]
	var idle *descriptor
	for i, d := range all[:min(len(all), looksAtLast)] {
		before := d.inode
		looks++
		switch inode := l.look(d); {
		case inode == s.inode:
			copy(all[n:], all[i+1:])
			copy(all[len(all)-len(busy)-1:], busy)
			all[len(all)-1] = d
			return l.name(d, looks+1)
		case inode != 0 && inode == before:
			busy = append(busy, d)
		default: // closed, and the next to be given out, or with another socket
			all[n] = d
			n++
			if d.closed > maxClosed {
				idle = d
			}
		}
	}
	copy(all[n:], all[n+len(busy):])
	copy(all[len(all)-len(busy):], busy)
	if idle != nil {
		l.drop(s.UID, idle)
	}
	return Process{}, looks
}

// look returns the inode of the socket that a descriptor holds, 0 if it holds none.
func (l *last) look(d *descriptor) uint32 {
	d.inode, _ = socketInode(d.process.dir, d.path, l.link[:])
	if d.closed++; d.inode != 0 {
		d.closed = 0
	}
	return d.inode
}

// drop forgets a descriptor that has been closed for long, or its process if that has ended.
func (l *last) drop(uid uint32, d *descriptor) {
	if !d.process.isSame(l.link[:]) {
		l.forget(d.process)
		return
	}
	l.users[uid] = slices.DeleteFunc(l.users[uid], func(other *descriptor) bool { return other == d })
}

// name returns the process of a descriptor, unless it executes another file now.
func (l *last) name(d *descriptor, looks int) (Process, int) {
	if !d.process.isSame(l.link[:]) {
		l.forget(d.process)
		return Process{}, looks
	}
	return d.process.Process, looks
}

// isSame reports whether a process goes on, and executes the same file.
func (p *lastProcess) isSame(link []byte) bool {
	n, err := unix.Readlinkat(p.dir, "exe", link)
	return err == nil && string(link[:n]) == p.exe
}

// add remembers a holder in the place of what was known of its descriptor.
func (l *last) add(h named) {
	if len(l.users) >= lastUsers && l.users[h.uid] == nil {
		l.close()
	}
	p, err := l.process(h)
	if err != nil {
		return // it has ended
	}
	d := &descriptor{process: p, path: "fd/" + h.fd, inode: h.inode}
	all := slices.DeleteFunc(l.users[h.uid], func(other *descriptor) bool {
		return other.process == p && other.path == d.path
	})
	if len(all) == lastOfUser {
		all = slices.Delete(all, 0, 1)
	}
	l.users[h.uid] = append(all, d)
	if !slices.Contains(p.users, h.uid) {
		p.users = append(p.users, h.uid)
	}
}

// process returns what is known of a holder's process, the last one from now on.
func (l *last) process(h named) (*lastProcess, error) {
	for i, p := range l.processes {
		if p.PID != h.pid {
			continue
		}
		if p.exe == h.exe && p.isSame(l.link[:]) {
			l.processes = slices.Insert(slices.Delete(l.processes, i, i+1), 0, p)
			return p, nil
		}
		l.forget(p)
		break
	}
	path := "/proc/" + strconv.Itoa(h.pid)
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if len(l.processes) == lastProcesses {
		l.forget(l.processes[lastProcesses-1])
	}
	p := &lastProcess{Process: Process{h.pid, h.name}, dir: dir, exe: h.exe}
	l.processes = slices.Insert(l.processes, 0, p)
	return p, nil
}

// forget forgets a process and its descriptors.
func (l *last) forget(p *lastProcess) {
	_ = unix.Close(p.dir)
	l.processes = slices.DeleteFunc(l.processes, func(other *lastProcess) bool { return other == p })
	for _, uid := range p.users {
		all := slices.DeleteFunc(l.users[uid], func(d *descriptor) bool { return d.process == p })
		if l.users[uid] = all; len(all) == 0 {
			delete(l.users, uid)
		}
	}
}

// close forgets all.
func (l *last) close() {
	for _, p := range l.processes {
		_ = unix.Close(p.dir)
	}
	l.processes = nil
	clear(l.users)
}
