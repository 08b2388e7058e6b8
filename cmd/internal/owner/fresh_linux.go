package owner

import (
	"bytes"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// fresh is the processes that were made lately, by their numbers: a program often connects soon
// after its start. Numbers are given out in order, to threads as well.
type fresh struct {
	loadavg *os.File
	last    int // the number that was given last
	numbers map[int]*numbered
}

// numbered is the holder of a number.
type numbered struct {
	uid    uint32
	leader int       // the process; 0 = not read
	at     time.Time // when it was seen first
	gone   bool
}

const (
	freshNumbers = 512                    // that are kept
	freshLooks   = 384                    // at these for one socket
	freshChanges = 500 * time.Millisecond // for which one of root's may become another user's
	firstFD      = 3                      // that a program gets
)

func newFresh() fresh {
	f, _ := os.Open("/proc/loadavg") // without it there are none
	return fresh{loadavg: f, numbers: make(map[int]*numbered)}
}

// lastPID returns the number of the process, or thread, that was made last, 0 if it cannot be read
// (proc_loadavg(5)).
func (f *fresh) lastPID() int {
	if f.loadavg == nil {
		return 0
	}
	var text [128]byte
	n, err := unix.Pread(int(f.loadavg.Fd()), text[:], 0)
	if err != nil {
		return 0
	}
	words := bytes.Fields(text[:n])
	if len(words) == 0 {
		return 0
	}
	last, _ := strconv.Atoi(string(words[len(words)-1]))
	return last
}

// of calls found with the numbers of fresh processes of a user, the newest first, until it returns
// true or may is false, and returns that. may is asked before each system call.
func (f *fresh) of(uid uint32, may func() bool, found func(pid int) bool) bool {
	if !may() {
		return false
	}
	last := f.lastPID()
	if last < f.last { // they have begun again
		clear(f.numbers)
	}
	f.last = last
	if len(f.numbers) > 2*freshNumbers {
		maps.DeleteFunc(f.numbers, func(n int, _ *numbered) bool { return n <= last-freshNumbers })
	}
	for n := last; n > max(1, last-freshNumbers); n-- {
		ok, stop := f.isProcess(n, uid, may)
		switch {
		case stop:
			return false
		case ok && found(n):
			return true
		}
	}
	return false
}

// isProcess reports whether a number is that of a process of a user. A process of root may become
// that of another user soon after it was made.
func (f *fresh) isProcess(n int, uid uint32, may func() bool) (ok, stop bool) {
	e := f.numbers[n]
	if e == nil {
		e = &numbered{at: time.Now()}
		f.numbers[n] = e
		if !may() {
			delete(f.numbers, n)
			return false, true
		}
		e.look(n)
	}
	if e.gone || e.uid != uid && (e.uid != 0 || time.Since(e.at) > freshChanges) {
		return false, false
	}
	if e.leader == 0 {
		if !may() {
			return false, true
		}
		e.leader = leader(n)
	}
	if e.leader == n && e.uid != uid {
		if !may() {
			return false, true
		}
		e.look(n)
	}
	return e.leader == n && e.uid == uid, false
}

func (e *numbered) look(n int) {
	var stat unix.Stat_t
	err := unix.Stat("/proc/"+strconv.Itoa(n), &stat)
	e.gone, e.uid = err != nil, stat.Uid
}

// leader returns the process of a thread, -1 if it has ended.
func leader(tid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return -1
	}
	return number(text, "\nTgid:\t")
}

func (f *fresh) close() {
	if f.loadavg != nil {
		_ = f.loadavg.Close()
	}
}
