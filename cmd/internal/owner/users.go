package owner

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// users knows the names of users by /etc/passwd (passwd(5)). A file that has changed it reads again
// within usersAge, unless it gets the next one by set. Users of other databases have no name.
type users struct {
	path string // "" = it is given the file

	mu     sync.Mutex // guards all below
	looked time.Time
	file   os.FileInfo // as it was read; nil without one
	byUID  map[uint32]string
}

const (
	usersAge  = time.Second
	maxPasswd = 64 << 20 // bytes that are read of it
)

// name returns the name of a user; "" if it has none.
func (u *users) name(uid uint32, now time.Time) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if since := now.Sub(u.looked); u.path != "" && (u.byUID == nil || since > usersAge || since < 0) {
		u.looked = now
		u.refresh()
	}
	return u.byUID[uid]
}

// refresh reads the file again where it is another, or has changed.
func (u *users) refresh() {
	file, err := os.Stat(u.path)
	if err == nil && u.file != nil && os.SameFile(file, u.file) &&
		file.ModTime().Equal(u.file.ModTime()) && file.Size() == u.file.Size() {
		return
	}
	u.file, u.byUID = file, make(map[uint32]string)
	f, err := os.Open(u.path)
	if err != nil {
		u.file = nil
		return
	}
	defer f.Close()
	u.read(f)
}

// set takes the names from a file, and looks at no other from now on.
func (u *users) set(f io.Reader) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.path = ""
	u.read(f)
}

// read takes the names from a file. mu is held.
func (u *users) read(f io.Reader) {
	u.byUID = make(map[uint32]string)
	lines := bufio.NewScanner(io.LimitReader(f, maxPasswd))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		_, rest, _ = strings.Cut(rest, ":")
		digits, _, _ := strings.Cut(rest, ":")
		uid, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || name == "" || strings.HasPrefix(name, "+") || strings.HasPrefix(name, "#") {
			continue
		}
		if _, ok := u.byUID[uint32(uid)]; !ok { // the first one counts (getpwuid(3))
			u.byUID[uint32(uid)] = name
		}
	}
}
