package owner

import (
	"net/netip"

	"golang.org/x/time/rate"

	"syntap/tap"
)

// Finder finds owners of sockets in the network namespace that it was made in. But for Allow it is for one goroutine at a time.
type Finder struct {
	diag      *diag
	processes processes
	budget    *rate.Limiter
}

// What bounds what finding takes from the router: a process with few descriptors takes a tenth of a millisecond.
const (
	findsPerSecond = 100
	savedFinds     = 200 // at most
)

// NewFinder returns a finder. Close gives it back.
func NewFinder() (*Finder, error) {
	d, err := newDiag()
	if err != nil {
		return nil, err
	}
	return &Finder{diag: d, processes: newProcesses(), budget: rate.NewLimiter(findsPerSecond, savedFinds)}, nil
}

// Allow reports whether one more owner may be looked for now. Any goroutine may ask.
func (f *Finder) Allow() bool { return f.budget.Allow() }

// Find returns the owner of the TCP socket with these addresses. Without one the client is not of this host, or gone.
func (f *Finder) Find(local, remote netip.AddrPort) (o tap.Owner, ok bool) {
	uid, inode, err := f.diag.socket(local, remote)
	if err != nil {
		return tap.Owner{}, false
	}
	o.UID = uid
	if inode == 0 { // the socket is closed already
		return o, true
	}
	if pid := f.processes.find(inode); pid != 0 {
		if o.Process = f.processes.name(pid); o.Process != "" {
			o.PID = pid
		}
	}
	return o, true
}

// Close gives the finder back.
func (f *Finder) Close() error { return f.diag.close() }
