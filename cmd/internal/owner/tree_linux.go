package owner

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// treeLooks bounds the looks of one search at the descendants of a network's first process, and
// fewFresh those at fresh processes before, where there is such a process: on a busy host others
// are fresh, too.
const (
	treeLooks = 256
	fewFresh  = 64
)

// tree looks for the socket among the first descriptors of the descendants of a process, the newest
// first. It makes a limited number of looks.
func (w *walk) tree(root int) bool {
	looks := 0
	t := walk{processes: w.processes, socket: w.socket, look: func() bool {
		looks++
		return looks <= treeLooks && w.may()
	}}
	pids := t.descendants(root)
	newestFirst(pids, w.fresh.last)
	for _, pid := range pids {
		if t.process(pid, 0, firstDescriptors) {
			w.found = t.found
			return true
		}
	}
	return false
}

// descendants returns the children of a process, their children, and so on. There are none where
// the kernel does not list them (CONFIG_PROC_CHILDREN).
func (w *walk) descendants(root int) (pids []int) {
	pids = []int{root}
	for i := 0; i < len(pids); i++ {
		w.entries("/proc/"+strconv.Itoa(pids[i])+"/task", func(dir int, tid string) bool {
			if !w.may() {
				return false
			}
			for child := range bytes.FieldsSeq(readFile(dir, tid+"/children", w.buf[:])) {
				if pid, err := strconv.Atoi(string(child)); err == nil {
					pids = append(pids, pid)
				}
			}
			return true
		})
	}
	return pids[1:]
}

// readFile returns the text of a small file by its path from dir, nil where it cannot be read.
func readFile(dir int, path string, buf []byte) []byte {
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}
