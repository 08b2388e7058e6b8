package owner

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processes finds the process that holds a socket. It is for one goroutine.
type processes struct {
	known  map[uint32]holder // of sockets that searches for others have come across, by inode
	recent []holder          // of sockets that have been found, the last one first
	latest named             // the last one
	link   [pathMax]byte
}

// holder is a process and the descriptor under which it holds, or has held, a socket of a user.
type holder struct {
	uid uint32
	pid int
	fd  string
}

const (
	maxKnown     = 4096
	maxRecent    = 256
	maxOfProcess = 16 // of recent
	maxOfUser    = 32
)

func newProcesses() processes { return processes{known: make(map[uint32]holder)} }

// search looks for the process that holds a socket; look is asked before each system call, and ends
// the search by false. Without a process it says why there is none.
func (p *processes) search(s Socket, look func() bool) (Process, Reason) {
	if h, ok := p.known[s.inode]; ok {
		delete(p.known, s.inode)
		if !look() {
			return Process{}, Deadline
		}
		if p.holds(h, s.inode) {
			return p.found(holder{s.UID, h.pid, h.fd})
		}
	}
	for _, h := range slices.Clone(p.recent) { // which other searches change
		if h.uid != s.UID {
			continue
		}
		if !look() {
			return Process{}, Deadline
		}
		if p.holds(h, s.inode) {
			return p.found(h)
		}
	}
	w := walk{processes: p, socket: s, look: look}
	return w.all()
}

// holds reports whether the holder has the socket. A process that has ended is forgotten.
func (p *processes) holds(h holder, inode uint32) bool {
	other, err := socketInode(unix.AT_FDCWD, "/proc/"+strconv.Itoa(h.pid)+"/fd/"+h.fd, p.link[:])
	if err != nil && errors.Is(unix.Kill(h.pid, 0), unix.ESRCH) {
		p.recent = slices.DeleteFunc(p.recent, func(other holder) bool { return other.pid == h.pid })
	}
	return err == nil && other == inode
}

// found names the process and moves it to the front of the recent ones. Neither a process nor a
// user drives all others out.
func (p *processes) found(h holder) (Process, Reason) {
	exe, name := p.name(h.pid)
	if name == "" { // it has ended
		return Process{}, NotHeld
	}
	p.latest = named{holder: h, exe: exe, name: name}
	p.recent = slices.DeleteFunc(p.recent, func(other holder) bool { return other == h })
	p.recent = slices.Insert(p.recent, 0, h)
	process, user := 0, 0
	p.recent = slices.DeleteFunc(p.recent, func(other holder) bool {
		if other.pid == h.pid {
			process++
		}
		if other.uid == h.uid {
			user++
		}
		return other.pid == h.pid && process > maxOfProcess || other.uid == h.uid && user > maxOfUser
	})
	p.recent = p.recent[:min(len(p.recent), maxRecent)]
	return Process{PID: h.pid, Name: name}, Found
}

// name returns the file that a process executes, and the name of it. Where the first 15 bytes of
// /proc/PID/comm begin it, as nc does nc.openbsd, the shorter one is how people know it.
func (p *processes) name(pid int) (exe, name string) {
	dir := "/proc/" + strconv.Itoa(pid)
	n, err := unix.Readlink(dir+"/exe", p.link[:])
	if err != nil {
		return "", ""
	}
	exe = string(p.link[:n])
	file := path.Base(strings.TrimSuffix(exe, " (deleted)"))
	comm := readComm(dir)
	if comm != "" && strings.HasPrefix(file, comm) && len(comm) < maxComm {
		return exe, comm
	}
	return exe, file
}

// maxComm is the length of a name in /proc/PID/comm that may have been cut off: TASK_COMM_LEN
// without the zero.
const maxComm = 15

func readComm(dir string) string {
	fd, err := unix.Open(dir+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var b [64]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return ""
	}
	return string(bytes.TrimSuffix(b[:n], []byte("\n")))
}

// socketInode returns the inode of a socket by the path, from dir, of its descriptor; 0 if that is
// none. It needs a buffer.
func socketInode(dir int, path string, link []byte) (uint32, error) {
	n, err := unix.Readlinkat(dir, path, link)
	if err != nil {
		return 0, err
	}
	text, ok := bytes.CutPrefix(link[:n], []byte("socket:["))
	if !ok {
		return 0, nil
	}
	inode, err := strconv.ParseUint(string(bytes.TrimSuffix(text, []byte("]"))), 10, 32)
	if err != nil {
		return 0, nil
	}
	return uint32(inode), nil
}

// walk is a search through all processes.
type walk struct {
	*processes
	socket Socket
	look   func() bool

	cut    bool // look has ended the search
	denied bool // not everything could be read
	holder holder
}

// all searches the recent processes of the socket's user, then the first descriptors of its newest
// ones and of all of its processes, then the rest of them, then all other processes; the newest
// first.
func (w *walk) all() (Process, Reason) {
	if len(w.known) > maxKnown {
		clear(w.known)
	}
	for _, pid := range w.recentOf(w.socket.UID) {
		if w.process(pid, 0, math.MaxInt) {
			return w.found(w.holder)
		}
	}
	last := lastPID()
	for pid := last; pid > max(0, last-newest); pid-- { // on a host with many processes a list of all takes too long
		if w.ofUser(pid) && w.process(pid, 0, firstDescriptors) {
			w.holder.pid = leader(pid)
			return w.found(w.holder)
		}
	}
	var pids, own, others []int
	w.entries("/proc", func(_ int, name string) bool {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
		return true
	})
	newestFirst(pids, last)
	for _, pid := range pids {
		if !w.ofUser(pid) {
			others = append(others, pid)
			continue
		}
		own = append(own, pid)
		if w.process(pid, 0, firstDescriptors) {
			return w.found(w.holder)
		}
	}
	// A process can open a socket and then change its user.
	if w.any(own, firstDescriptors, math.MaxInt) || w.any(others, 0, math.MaxInt) {
		return w.found(w.holder)
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

// recentOf returns the recent processes of a user, the last one first.
func (p *processes) recentOf(uid uint32) (pids []int) {
	for _, h := range p.recent {
		if h.uid == uid && !slices.Contains(pids, h.pid) {
			pids = append(pids, h.pid)
		}
	}
	return pids
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

// lastPID returns the number of the process, or thread, that was made last, 0 if it cannot be read
// (proc_loadavg(5)).
func lastPID() int {
	text, _ := os.ReadFile("/proc/loadavg")
	words := bytes.Fields(text)
	if len(words) == 0 {
		return 0
	}
	last, _ := strconv.Atoi(string(words[len(words)-1]))
	return last
}

// newest is how many of the last numbers are tried before all processes are listed. Some are those
// of threads.
const newest = 32

// leader returns the process of a thread, 0 if it has ended.
func leader(tid int) (pid int) {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if _, rest, ok := bytes.Cut(text, []byte("\nTgid:\t")); ok {
		digits, _, _ := bytes.Cut(rest, []byte("\n"))
		pid, _ = strconv.Atoi(string(digits))
	}
	return pid
}

// ofUser reports whether a process has the socket's user.
func (w *walk) ofUser(pid int) bool {
	var stat unix.Stat_t
	return w.may() && unix.Stat("/proc/"+strconv.Itoa(pid), &stat) == nil && stat.Uid == w.socket.UID
}

// firstDescriptors are those that are looked at in every process of a user before the rest of any.
const firstDescriptors = 32

func (w *walk) any(pids []int, from, to int) (found bool) {
	return slices.ContainsFunc(pids, func(pid int) bool { return w.process(pid, from, to) })
}

// process looks for the socket among some descriptors of a process, and remembers the other sockets
// there.
func (w *walk) process(pid, from, to int) (found bool) {
	i := -1
	w.entries("/proc/"+strconv.Itoa(pid)+"/fd", func(dir int, name string) bool {
		if i++; i < from {
			return true
		}
		if i >= to || !w.may() {
			return false
		}
		switch inode, err := socketInode(dir, name, w.link[:]); {
		case err != nil:
			w.note(err)
		case inode == w.socket.inode:
			found, w.holder = true, holder{w.socket.UID, pid, name}
		case inode != 0:
			w.known[inode] = holder{w.socket.UID, pid, name}
		}
		return !found
	})
	return found
}

// entries calls f with the names in a directory until it returns false.
func (w *walk) entries(dir string, f func(dir int, name string) bool) {
	if !w.may() {
		return
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.note(err)
		return
	}
	defer unix.Close(fd)
	buf := make([]byte, 1<<10) // some forty names: the kernel makes an inode for each
	for w.may() {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if !f(fd, name) {
				return
			}
		}
	}
}

func (w *walk) note(err error) {
	w.denied = w.denied || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}
