package owner

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// processes finds the process that holds a socket. It is for one goroutine.
type processes struct {
	root  int              // the process that all in the network descend from; 0 = not known
	place string           // the text of /proc/PID/ns/net of those in the network; "" = not known
	known map[uint32]found // of sockets that searches for others have come across, by inode
	fresh fresh
	buf   [bufferSize]byte

	recent func(uid uint32) []int                       // processes that have held sockets of a user, the last one first
	guess  func(s Socket) (f found, looks int, ok bool) // by descriptors that these have had
	name   func(f found, s Socket) (Process, Reason)
}

// found is a process by its number, and the descriptor under which it holds, or has held, a socket.
type found struct{ pid, fd int }

const (
	maxKnown     = 4096
	looksToGuess = 64
	looksToName  = 16
)

// search looks for the process that holds a socket; look is asked before each system call, and ends
// the search by false. Without a process it says why there is none.
func (p *processes) search(s Socket, look func() bool) (Process, Reason) {
	if f, ok := p.known[s.inode]; ok {
		delete(p.known, s.inode)
		if !look() {
			return Process{}, Deadline
		}
		if process, reason := p.name(f, s); reason != Ended {
			return process, reason
		}
	}
	f, looks, ok := p.guess(s)
	for range looks {
		if !look() {
			return Process{}, Deadline
		}
	}
	if ok {
		if process, reason := p.name(f, s); reason != Ended {
			return process, reason
		}
	}
	w := walk{processes: p, socket: s, look: look}
	return w.all()
}

// walk is a search through all processes.
type walk struct {
	*processes
	socket Socket
	look   func() bool

	cut    bool // look has ended the search
	denied bool // not everything could be read
	found  found
}

// all searches the first descriptors of the newest processes of the socket's user, then of those in
// the network, then all of its recent ones, then the first descriptors of all of its processes in
// this network, then the rest of them, then all other processes; the newest first.
func (w *walk) all() (Process, Reason) {
	if len(w.known) > maxKnown {
		clear(w.known)
	}
	if w.anywhere() {
		return w.name(w.found, w.socket)
	}
	switch {
	case w.cut:
		return Process{}, Deadline
	case w.denied:
		return Process{}, Permission
	default:
		return Process{}, NotHeld
	}
}

func (w *walk) anywhere() bool {
	recent := w.recent(w.socket.UID)
	looks, most := 0, freshLooks
	if w.root != 0 {
		most = fewFresh
	}
	few := func() bool { looks++; return looks <= most && w.may() }
	isNew := func(pid int) bool {
		return !slices.Contains(recent, pid) && !w.elsewhere(pid, few) && w.beginning(pid, few)
	}
	if w.fresh.of(w.socket.UID, few, isNew) {
		return true
	}
	if w.root != 0 && w.tree(w.root) || w.any(recent, 0) {
		return true
	}
	var pids, own, others, far []int
	w.entries("/proc", func(_ int, name string) bool {
		if pid, err := strconv.Atoi(name); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
		return true
	})
	newestFirst(pids, w.fresh.last)
	for _, pid := range pids {
		switch {
		case !w.ofUser(pid):
			others = append(others, pid)
		case w.elsewhere(pid, w.may):
			far = append(far, pid)
		default:
			own = append(own, pid)
			if w.process(pid, 0, firstDescriptors) {
				return true
			}
		}
	}
	// A process can open a socket and then change its user, or its network. Process 1 comes last:
	// it keeps the sockets that it has made for services.
	return w.any(own, firstDescriptors) || w.any(others, 0) || w.any(far, 0) || w.any([]int{1}, 0)
}

// elsewhere reports whether a process is in another network, such as a container's. may is asked
// before the system call.
func (w *walk) elsewhere(pid int, may func() bool) bool {
	if w.place == "" || !may() {
		return false
	}
	n, err := unix.Readlink("/proc/"+strconv.Itoa(pid)+"/ns/net", w.buf[:])
	return err == nil && string(w.buf[:n]) != w.place
}

// may reports whether one more system call may be made.
func (w *walk) may() bool {
	w.cut = w.cut || !w.look()
	return !w.cut
}

// newestFirst sorts processes by when they were made: numbers go up to the last one that was given,
// begin again when there are no more, and those above it are of the round before.
func newestFirst(pids []int, last int) {
	slices.SortFunc(pids, func(a, b int) int {
		if (a > last) != (b > last) {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(b, a)
	})
}

// ofUser reports whether a process has the socket's user.
func (w *walk) ofUser(pid int) bool {
	var stat unix.Stat_t
	return w.may() && unix.Stat("/proc/"+strconv.Itoa(pid), &stat) == nil && stat.Uid == w.socket.UID
}

// firstDescriptors are those that are looked at in every process of a user before the rest of any.
const firstDescriptors = 32

// any looks for the socket among the descriptors of some processes, but for the first ones.
func (w *walk) any(pids []int, from int) (found bool) {
	return slices.ContainsFunc(pids, func(pid int) bool { return w.process(pid, from, math.MaxInt) })
}

// beginning looks for the socket among the descriptors that a process gets first.
func (w *walk) beginning(pid int, may func() bool) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	for fd, free := firstFD, 0; fd < firstDescriptors && free < 2; fd++ {
		if !may() {
			return false
		}
		switch inode, err := socketInode(unix.AT_FDCWD, dir+strconv.Itoa(fd), w.buf[:]); {
		case err != nil:
			free++
		case inode == w.socket.inode:
			w.found = found{pid, fd}
			return true
		case inode != 0:
			w.known[inode] = found{pid, fd}
		}
	}
	return false
}

// process looks for the socket among some descriptors of a process, and remembers the other sockets
// there.
func (w *walk) process(pid, from, to int) (ok bool) {
	i := -1
	w.entries("/proc/"+strconv.Itoa(pid)+"/fd", func(dir int, name string) bool {
		if i++; i < from {
			return true
		}
		if i >= to || !w.may() {
			return false
		}
		fd, err := strconv.Atoi(name)
		if err != nil {
			return true
		}
		switch inode, err := socketInode(dir, name, w.buf[:]); {
		case err != nil:
			w.note(err)
		case inode == w.socket.inode:
			ok, w.found = true, found{pid, fd}
		case inode != 0 && pid != 1:
			w.known[inode] = found{pid, fd}
		}
		return !ok
	})
	return ok
}

// entries calls f with the names in a directory until it returns false, and notes why there are
// none.
func (w *walk) entries(dir string, f func(dir int, name string) bool) {
	if !w.may() {
		return
	}
	if err := entries(unix.AT_FDCWD, dir, f); err != nil {
		w.note(err)
	}
}

func (w *walk) note(err error) {
	w.denied = w.denied || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}
