package namespace

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watcher waits for changes of the files in some directories. Closing an inotify instance takes the
// kernel tens of milliseconds, which a short command is not to wait for: until quickLooks are over
// it looks by itself.
type watcher struct {
	closed chan struct{}
	looks  int

	mu      sync.Mutex // guards the fields below
	dirs    map[string]bool
	inotify *os.File // nil at first, and where the kernel gives none: a user may have few
	fd      int      // its descriptor
}

const (
	quickLook  = 20 * time.Millisecond
	quickLooks = 50
	slowLook   = time.Second
)

func newWatcher(dirs []string) *watcher {
	w := &watcher{closed: make(chan struct{}), dirs: map[string]bool{}}
	w.add(dirs)
	return w
}

// add watches more directories, those that exist.
func (w *watcher) add(dirs []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, dir := range dirs {
		if !w.dirs[dir] {
			w.dirs[dir] = true
			w.watch(dir)
		}
	}
}

// watch has the kernel tell of a directory. mu is held.
func (w *watcher) watch(dir string) {
	const changes = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE
	if w.inotify != nil {
		_, _ = unix.InotifyAddWatch(w.fd, dir, changes) // an error: there is none, or no more watches
	}
}

// wait returns true when something may have changed, and false when the watcher is closed.
func (w *watcher) wait() bool {
	if w.looks == quickLooks {
		w.open()
	}
	w.looks++
	if w.inotify != nil && w.looks > quickLooks+1 { // once more after it was opened
		_, err := w.inotify.Read(make([]byte, 4096))
		return err == nil
	}
	pause := quickLook
	if w.looks > quickLooks+1 {
		pause = slowLook
	}
	select {
	case <-time.After(pause):
		return true
	case <-w.closed:
		return false
	}
}

// open has the kernel tell of changes from now on.
func (w *watcher) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return
	}
	w.fd, w.inotify = fd, os.NewFile(uintptr(fd), "inotify")
	for dir := range w.dirs {
		w.watch(dir)
	}
	select {
	case <-w.closed:
		_ = w.inotify.Close()
	default:
	}
}

// close ends wait, in whichever goroutine.
func (w *watcher) close() {
	close(w.closed)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inotify != nil {
		_ = w.inotify.Close()
	}
}
