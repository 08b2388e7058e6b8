//go:build linux

package shipping

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/connect"
	"syntap/tun/flow"
)

// Fleet brings the JSON log of a config to stores outside. A nil Fleet brings none.
type Fleet struct {
	logger logrus.FieldLogger
	sends  func(flow.Proto, netip.AddrPort)
	now    atomic.Pointer[Shipment] // nil = the config names no stores
	ends   sync.Map                 // by the path of a log, *atomic.Uint64: the last record in its file for good
}

// Shipment is a shipper, with its config, from its making to its end.
type Shipment struct {
	*fleet.Shipper
	config *config.Config
	path   string // of the log

	stop context.CancelFunc
	done chan struct{}
}

// New reads the position of the log, and the files of certificates and tokens. sends is called
// before something is sent to an address.
func New(c *config.Config, logger logrus.FieldLogger, sends func(flow.Proto, netip.AddrPort)) (*Fleet, error) {
	f := &Fleet{logger: logger, sends: sends}
	next, err := f.Prepare(c)
	f.now.Store(next)
	return f, err
}

// Prepare returns the shipment of a config, yet to be started; nil where there are no stores.
func (f *Fleet) Prepare(c *config.Config) (*Shipment, error) {
	sink := c.Fleet.Sink(c.Tap.Log)
	if f == nil || sink == nil {
		if f != nil && len(c.Fleet.Stores) > 0 {
			f.logger.Warn("no log is sent to the fleet: the output flags have replaced tap.log")
		}
		return nil, nil
	}
	var all []fleet.Destination
	for i, store := range c.Fleet.Stores {
		r, err := connect.To(store, pastTUN(uint32(c.Route.Mark), f.sends))
		if err != nil {
			return nil, fmt.Errorf("fleet.stores[%d]: %w", i, err)
		}
		name := cmp.Or(store.Name, fmt.Sprintf("fleet.stores[%d]", i))
		all = append(all, fleet.Destination{Name: name, URL: store.URL, Receiver: r})
	}
	o := fleet.Options{
		Router: router(&c.Fleet), Path: sink.Path, Fields: fleet.FieldsOf(c.Fleet.Keys()), Delay: c.Fleet.Delay,
		Destinations: all, Logger: f.logger, Written: f.end(sink.Path).Load,
	}
	if former := f.now.Load(); former != nil {
		o.Former = former.Shipper
	}
	return &Shipment{Shipper: fleet.New(o), config: c, path: sink.Path}, nil
}

// router returns the name of this router in the fleet.
func router(c *config.Fleet) string {
	if c.Router != "" {
		return c.Router
	}
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

// Start ships until stop.
func (f *Fleet) Start() {
	if f == nil || f.now.Load() == nil {
		return
	}
	now := f.now.Load()
	var ctx context.Context
	ctx, now.stop = context.WithCancel(context.Background())
	now.done = make(chan struct{})
	go func() {
		defer close(now.done)
		now.Run(ctx)
	}()
}

// Stop sends the rest of the log, if the stores take it at once.
func (f *Fleet) Stop() {
	if f == nil {
		return
	}
	if now := f.now.Load(); now != nil && now.stop != nil {
		now.stop()
		<-now.done
	}
}

// Replace has the next one ship from now on; nil = none.
func (f *Fleet) Replace(next *Shipment) {
	if f == nil {
		return
	}
	f.Stop()
	if next != nil {
		next.Resume()
	}
	f.now.Store(next)
	f.Start()
}

// Spool says how much of a log the stores have.
func (f *Fleet) Spool(path string) (s audit.Spool, ok bool) {
	now := f.now.Load()
	if now == nil || now.path != path {
		return s, false
	}
	c := &now.config.Fleet
	return audit.Spool{Confirmed: now.Confirmed(), Size: int64(c.Spool), Drop: c.OnFull == config.Count}, true
}

// end holds the number of the last record of a log that is in its file for good.
func (f *Fleet) end(path string) *atomic.Uint64 {
	end, _ := f.ends.LoadOrStore(path, new(atomic.Uint64))
	return end.(*atomic.Uint64)
}

// Written notes that the records up to a number are in the file of a log for good.
func (f *Fleet) Written(path string, seq uint64) { f.end(path).Store(seq) }

// Head takes the head of the log.
func (f *Fleet) Head(line []byte) {
	if now := f.now.Load(); now != nil {
		now.Head(line)
	}
}

// Stats returns the state of the stores.
func (f *Fleet) Stats() []fleet.Stats {
	if f == nil {
		return nil
	}
	if now := f.now.Load(); now != nil {
		return now.Stats()
	}
	return nil
}

// pastTUN returns a function that opens connections past the TUN: they, and the questions for the
// names of stores, must not become records that are sent to the stores.
// sends is called before something is sent to an address; nil disables it.
func pastTUN(mark uint32, sends func(flow.Proto, netip.AddrPort)) connect.Dial {
	control := func(network, address string, c syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err == nil && sends != nil {
			proto := flow.UDP
			if strings.HasPrefix(network, "tcp") {
				proto = flow.TCP
			}
			sends(proto, to)
		}
		var err error
		controlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
		})
		if err == nil {
			err = controlErr
		}
		return err
	}
	plain := &net.Dialer{Control: control, Timeout: 10 * time.Second}
	named := *plain
	named.Resolver = &net.Resolver{PreferGo: true, Dial: plain.DialContext}
	return named.DialContext
}
