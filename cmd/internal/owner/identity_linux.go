package owner

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// process is one that has been found to hold sockets. Its files in /proc stay its own when it ends
// and its number is given to another.
type process struct {
	Process
	dir      int    // /proc/PID
	cgroup   int    // the file of that name there, -1 if it cannot be read
	children int    // those of its first thread, -1 where the kernel has no such file
	link     string // the text of /proc/PID/exe
	parent   int

	offspring []int  // children, when it was looked at
	round     uint64 // of searches, in which it was read last

	place   []byte // the text of the file cgroup
	placeID uint64 // the cgroup of a socket that it had then
	placeAt time.Time

	foundAt  time.Time     // the last time
	interval time.Duration // between these times, a moving average
	due      float64       // see last.inOrder
	tried    uint32        // inode of the socket that it was looked at for

	users     []uint32     // of sockets under its descriptors
	fds       []descriptor // under which it has held sockets; the next one to be looked at first
	next      int          // the descriptor above all of these
	growing   bool         // it was found there
	repeating bool         // it was found under the descriptor where it had been found the time before
}

// openProcess opens the process that a thread belongs to, and reads what it is. It is nil if there
// is none.
func openProcess(tid int, buf []byte) *process {
	p := &process{Process: Process{PID: tid}, dir: -1, cgroup: -1, children: -1}
	for range 2 {
		var err error
		p.dir, err = unix.Open("/proc/"+strconv.Itoa(p.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil
		}
		status := p.read("status", buf)
		p.parent = number(status, "\nPPid:\t")
		if leader := number(status, "\nTgid:\t"); leader != p.PID {
			p.PID = leader
			p.close()
			continue
		}
		if !p.readExe(buf) {
			break
		}
		p.cgroup = p.open("cgroup")
		p.children = p.open("task/" + strconv.Itoa(p.PID) + "/children")
		return p
	}
	p.close()
	return nil
}

// number returns the number behind a key in /proc/PID/status (proc_pid_status(5)), 0 without one.
func number(status []byte, key string) int {
	_, rest, _ := bytes.Cut(status, []byte(key))
	digits, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.Atoi(string(digits))
	return n
}

func (p *process) close() {
	for _, fd := range []*int{&p.dir, &p.cgroup, &p.children} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
		}
		*fd = -1
	}
}

// found notes that the process was found.
func (p *process) found(now time.Time) {
	if !p.foundAt.IsZero() {
		since := now.Sub(p.foundAt)
		if p.interval == 0 {
			p.interval = since
		}
		p.interval += (since - p.interval) / 4
	}
	p.foundAt = now
}

// open opens a file of the process, -1 if it cannot.
func (p *process) open(name string) int {
	fd, err := unix.Openat(p.dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// read returns the text of a small file of the process.
func (p *process) read(name string, buf []byte) []byte { return readFile(p.dir, name, buf) }

// readExe reads which file the process executes, and the name of it. Where the first 15 bytes of
// /proc/PID/comm begin it, as nc does nc.openbsd, the shorter one is how people know it.
func (p *process) readExe(buf []byte) bool {
	n, err := raw.Readlinkat(p.dir, "exe", buf)
	if err != nil || n == 0 {
		return false
	}
	p.link = string(buf[:n])
	p.Exe = p.link
	if stem, ok := strings.CutSuffix(p.link, deleted); ok {
		var stat unix.Stat_t // of the file itself
		if err := unix.Fstatat(p.dir, "exe", &stat, 0); err != nil || stat.Nlink == 0 {
			p.Exe = stem
		}
	}
	p.Name = path.Base(p.Exe)
	comm := string(bytes.TrimSuffix(p.read("comm", buf), []byte("\n")))
	if comm != "" && len(comm) < maxComm && strings.HasPrefix(p.Name, comm) {
		p.Name = comm
	}
	return true
}

// deleted is what the kernel appends to the path of a file that is gone, or was replaced.
const deleted = " (deleted)"

// maxComm is the length of a name in /proc/PID/comm that may have been cut off: TASK_COMM_LEN
// without the zero.
const maxComm = 15

// refreshIn is refresh, and reads the children, once in a round of searches.
func (p *process) refreshIn(round uint64, s Socket, buf []byte) bool {
	if p.round == round && (s.cgroup == p.placeID || p.cgroup < 0) {
		return true
	}
	if !p.refresh(s, buf) {
		return false
	}
	p.offspring = p.readChildren(buf)
	p.round = round
	return true
}

// refresh has the process be what it is now: it may have executed another file, or been moved to
// another cgroup. Sockets say in which cgroup they were made: in the same one nothing has changed.
// It reports whether the process goes on.
func (p *process) refresh(s Socket, buf []byte) bool {
	n, err := raw.Readlinkat(p.dir, "exe", buf)
	if err != nil {
		return false
	}
	another := string(buf[:n]) != p.link
	if another && !p.readExe(buf) {
		return false
	}
	now := time.Now()
	if p.cgroup < 0 || !another && s.cgroup != 0 && s.cgroup == p.placeID && now.Sub(p.placeAt) < placeAge {
		return true
	}
	if n, err = unix.Pread(p.cgroup, buf, 0); err != nil {
		return false
	}
	p.placeID, p.placeAt = s.cgroup, now
	if !bytes.Equal(buf[:n], p.place) {
		p.place = bytes.Clone(buf[:n])
		place := parseCgroup(p.place)
		p.Unit, p.Container = place.unit, place.container
	}
	return true
}

// placeAge is for how long a process is taken to be where it was in cgroups of version 1.
const placeAge = time.Second

// goesOn reports whether the process has not ended.
func (p *process) goesOn(buf []byte) bool {
	_, err := raw.Readlinkat(p.dir, "exe", buf)
	return err == nil
}

// look returns the inode of the socket under a descriptor, 0 if that is none.
func (p *process) look(fd int, buf []byte) uint32 {
	inode, _ := socketInode(p.dir, "fd/"+strconv.Itoa(fd), buf)
	return inode
}

// isShared reports whether the parent or a child holds the socket under the same descriptor, as
// after fork(2): any of them may have sent by it. The parent cannot where the descriptor has held
// something else before.
func (h holder) isShared(inode uint32, buf []byte) bool {
	p, fd := h.process, h.fd
	held := func(pid int) bool {
		other, _ := socketInode(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/fd/"+strconv.Itoa(fd), buf)
		return other == inode
	}
	if !h.reused && p.parent > 1 && held(p.parent) {
		return true
	}
	return slices.ContainsFunc(p.offspring, held)
}

// readChildren returns the children of the first thread of the process, not all of many.
func (p *process) readChildren(buf []byte) (pids []int) {
	if p.children < 0 {
		return nil
	}
	n, err := raw.ReadFirst(p.children, buf)
	if err != nil || n <= 0 {
		return nil
	}
	words := bytes.Fields(buf[:n])
	for _, word := range words[:min(len(words), maxChildren)] {
		if pid, err := strconv.Atoi(string(word)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// relatives returns the processes that may hold the socket under other descriptors, because the
// process has passed it to them, or they to it (SCM_RIGHTS of unix(7)).
func (h holder) relatives() []int {
	pids := slices.Clone(h.offspring[:min(len(h.offspring), maxRelatives)])
	if h.opened && h.parent > 1 {
		pids = append(pids, h.parent)
	}
	return pids
}

// holdsAny reports whether a process holds a socket among its first descriptors, and how many looks
// that took.
func holdsAny(pid int, inode uint32, buf []byte) (ok bool, looks int) {
	_ = entries(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/fd", func(dir int, name string) bool {
		if looks++; looks > maxOfRelative {
			return false
		}
		other, _ := socketInode(dir, name, buf)
		ok = other == inode
		return !ok
	})
	return ok, looks
}

// Bounds of the time that a process can take from others: how many children are looked at, and how
// many of them more closely; and how many descriptors.
const (
	maxChildren   = 16
	maxRelatives  = 4
	maxOfRelative = 32
	maxHeld       = 256
)

// holdsAll reports whether the process holds all of some sockets, among its first descriptors.
func (p *process) holdsAll(inodes []uint32, buf []byte) bool {
	left, looks := slices.Clone(inodes), 0
	_ = entries(p.dir, "fd", func(dir int, name string) bool {
		if looks++; looks > maxHeld {
			return false
		}
		inode, _ := socketInode(dir, name, buf)
		left = slices.DeleteFunc(left, func(other uint32) bool { return other == inode })
		return len(left) > 0
	})
	return len(left) == 0
}

// socketInode returns the inode of a socket by the path, from dir, of its descriptor; 0 if that is
// none. It needs a buffer.
func socketInode(dir int, path string, link []byte) (uint32, error) {
	n, err := raw.Readlinkat(dir, path, link)
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

// entries calls f with the names in a directory until it returns false.
func entries(at int, path string, f func(dir int, name string) bool) error {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 1<<10) // some forty names: the kernel makes an inode for each
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if !f(fd, name) {
				return nil
			}
		}
	}
}
