package owner

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// processes finds the process that holds a socket.
type processes struct {
	known  map[uint32]int // processes by the inodes of sockets that have been seen with them and not been asked for
	recent []holder       // of connections, the last one first
	looks  int            // descriptors that have been read
	names  map[int]named  // of processes, for a moment
	budget *rate.Limiter  // of looks that searching may take
	link   [64]byte
}

// named is the name that a process had at a time.
type named struct {
	name string
	at   time.Time
}

// nameAge is how long a name is taken for granted: a process may change it.
const nameAge = time.Second

// holder is a process and the descriptor under which it has held a connection.
type holder struct {
	pid int
	fd  string
}

// Looking is bounded by how much, not by its time: a machine that stalls takes none of it away. A look costs some three
// microseconds.
const (
	looksPerSecond = 10_000
	savedLooks     = 200_000 // at most
)

const (
	maxKnown  = 4096
	maxRecent = 64
	maxOfOne  = 16 // of them, of one process
)

func newProcesses() processes {
	return processes{known: make(map[uint32]int), names: make(map[int]named), budget: rate.NewLimiter(looksPerSecond, savedLooks)}
}

// find returns the process that holds the socket with the inode, 0 if it cannot be found now.
func (p *processes) find(inode uint32) int {
	if pid, ok := p.known[inode]; ok {
		delete(p.known, inode)
		return pid
	}
	if p.budget.Tokens() < 1 {
		return 0
	}
	before := p.looks
	pid := p.look(inode)
	p.budget.ReserveN(time.Now(), min(p.looks-before, savedLooks))
	return pid
}

// look tries the descriptors that have held the last connections, then all others: who opens one connection after another,
// or some at a time, has them under the same few.
func (p *processes) look(inode uint32) int {
	for i, h := range p.recent {
		if p.inode(unix.AT_FDCWD, "/proc/"+strconv.Itoa(h.pid)+"/fd/"+h.fd) == inode {
			p.used(i, h)
			return h.pid
		}
	}
	return p.search(inode)
}

// used moves a holder to the front; i = len(recent) adds it.
func (p *processes) used(i int, h holder) {
	if i < len(p.recent) {
		p.recent = slices.Delete(p.recent, i, i+1)
	}
	p.recent = slices.Insert(p.recent, 0, h)
	last, ofOne := 0, 0
	for i, other := range p.recent {
		if other.pid == h.pid {
			last = i
			ofOne++
		}
	}
	if ofOne > maxOfOne {
		p.recent = slices.Delete(p.recent, last, last+1)
	}
	p.recent = p.recent[:min(len(p.recent), maxRecent)]
}

// search looks through the processes of the last connections, then through all, the newest first.
func (p *processes) search(inode uint32) int {
	if len(p.known) > maxKnown {
		clear(p.known)
	}
	for _, pid := range p.recentPIDs() {
		if p.descriptors(pid, inode) {
			return pid
		}
	}
	for _, pid := range pids() {
		if p.descriptors(pid, inode) {
			return pid
		}
	}
	return 0
}

func (p *processes) recentPIDs() (all []int) {
	for _, h := range p.recent {
		if !slices.Contains(all, h.pid) {
			all = append(all, h.pid)
		}
	}
	return all
}

// pids lists all processes, the newest first.
func pids() (all []int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// descriptors looks for a socket among the descriptors of a process, and remembers the others there.
func (p *processes) descriptors(pid int, inode uint32) (found bool) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		switch other := p.inode(int(dir.Fd()), name); {
		case other == inode:
			found = true
			p.used(len(p.recent), holder{pid, name})
		case other != 0:
			p.known[other] = pid
		}
	}
	return found
}

// inode returns the inode of a socket by the path, from dir, of its descriptor; 0 if that is none.
func (p *processes) inode(dir int, path string) uint32 {
	p.looks++
	n, err := unix.Readlinkat(dir, path, p.link[:])
	if err != nil {
		return 0
	}
	text, ok := bytes.CutPrefix(p.link[:n], []byte("socket:["))
	if !ok {
		return 0
	}
	inode, err := strconv.ParseUint(string(bytes.TrimSuffix(text, []byte("]"))), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(inode)
}

// name returns the name of a process.
func (p *processes) name(pid int) string {
	now := time.Now()
	if n, ok := p.names[pid]; ok && now.Sub(n.at) < nameAge {
		return n.name
	}
	if len(p.names) > maxKnown {
		clear(p.names)
	}
	name := readName(pid)
	p.names[pid] = named{name, now}
	return name
}

func readName(pid int) string {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
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
