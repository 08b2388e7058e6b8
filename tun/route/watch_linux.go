package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// repairInterval is the least time between two repairs: whoever deletes faster does not keep the
// watcher busy.
const repairInterval = 250 * time.Millisecond

// Watch puts back what somebody else takes away, until ctx ends: rules, routes, addresses and, when
// the interface comes up again after it was set down, all that went with that. It follows the host:
// rules and routes that come and go while it runs. The error wraps ErrGone when the interface is
// deleted.
func (h *Host) Watch(ctx context.Context, reports Report) error {
	if h.changes == nil {
		<-ctx.Done()
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	changed := make(chan struct{}, 1)
	for _, f := range h.changes {
		g.Go(func() error { return h.listen(ctx, f, changed) })
	}
	g.Go(func() error { return h.repairAll(ctx, changed, reports) })
	g.Go(func() error { // ends listen
		<-ctx.Done()
		for _, f := range h.changes {
			_ = f.SetReadDeadline(time.Now()) // fails only of one that is closed
		}
		return nil
	})
	return g.Wait()
}

// Restored returns how many rules, routes and addresses Watch has put back.
func (h *Host) Restored() uint64 { return h.restored.Load() }

// subscribe returns the sockets on which the kernel tells of every change of links, addresses,
// routes and rules, and of nftables. Where there are none of these, there is nothing to be told.
func subscribe() ([]*os.File, error) {
	routing, err := subscribeTo("rtnetlink", unix.NETLINK_ROUTE, []int{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
	})
	if err != nil {
		return nil, err
	}
	const nftables = 7 // NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h
	tables, err := subscribeTo("nfnetlink", unix.NETLINK_NETFILTER, []int{nftables})
	if err != nil {
		return []*os.File{routing}, nil //nolint:nilerr // see above
	}
	return []*os.File{routing, tables}, nil
}

func subscribeTo(name string, protocol int, groups []int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open %s socket: %w", name, err)
	}
	var bits uint32
	for _, g := range groups {
		bits |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: bits}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("subscribe to changes by %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// listen passes on that something has changed. What it was does not matter, nor that messages were
// lost for want of space: a repair looks at everything.
func (h *Host) listen(ctx context.Context, changes *os.File, changed chan<- struct{}) error {
	buf := make([]byte, 1<<16)
	for {
		_, err := changes.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, unix.ENOBUFS):
			return fmt.Errorf("listen to changes of the network: %w", err)
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
}

// repairAll repairs after each change, at once but not more often than each repairInterval. What
// fails is tried again, less and less often.
func (h *Host) repairAll(ctx context.Context, changed <-chan struct{}, reports Report) error {
	const longest = time.Minute
	retry := repairInterval
	ticks := time.NewTicker(pastInterval)
	defer ticks.Stop()
	for {
		failed := false
		err := h.repair(func(command string, err error) {
			failed = failed || err != nil
			if ctx.Err() == nil {
				reports.Repair(command, err)
			}
		})
		if ctx.Err() != nil { // the interface goes at the end, and may be gone
			return nil
		}
		if err != nil {
			return err
		}
		if reports.Looked != nil {
			reports.Looked(h.notices)
		}
		if past, err := h.past(); err == nil && len(past) > 0 && reports.Past != nil { // else the table is made again soon
			reports.Past(past)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(repairInterval):
		}
		var again <-chan time.Time
		if failed {
			again = time.After(retry)
			retry = min(2*retry, longest)
		} else {
			retry = repairInterval
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again:
		case <-ticks.C:
		}
	}
}

// repair makes every step that is watched, and reports those that were not there. While the
// interface is down it has neither addresses nor routes; what leads around it is kept all the same.
func (h *Host) repair(report func(command string, err error)) error {
	link, err := h.nl.LinkByName(h.config.Name)
	if isGone(err) || err == nil && link.Attrs().Index != h.index {
		return fmt.Errorf("watch %s: %w", h.config.Name, ErrGone)
	} else if err != nil {
		return fmt.Errorf("watch %s: %w", h.config.Name, err)
	}
	up := isUp(link)
	created := false
	old, changed, err := h.resurvey()
	if err != nil {
		return err
	}
	steps := h.config.steps()
	for _, s := range steps {
		if !s.watched && !created {
			continue
		}
		err := h.do(s.summary(), s.apply)
		switch {
		case err == nil && changed:
		case err == nil:
			created = created || s.creates
			h.restored.Add(1)
			report(s.summary(), nil)
		case errors.Is(err, unix.EEXIST):
		case up:
			report(s.summary(), err)
		}
	}
	if !changed {
		return nil
	}
	for _, s := range slices.Backward(old.steps()) {
		if s.undo == nil || slices.ContainsFunc(steps, s.sameObject) {
			continue
		}
		if err := h.do(s.undoCommand(), s.undo); err != nil && !isGone(err) {
			report(s.undoCommand(), err)
		}
	}
	return nil
}

// resurvey reads the underlay again, and makes a config with it the one in force. It returns the
// one before.
func (h *Host) resurvey() (old Config, changed bool, err error) {
	old = h.config
	u, notices, err := survey(h.nl, h.config)
	if err != nil {
		return old, false, err
	}
	h.notices = notices
	if reflect.DeepEqual(u, old.Underlay) {
		return old, false, nil
	}
	h.config.Underlay = u
	if h.journal != nil {
		err = h.journal.begin(h.config)
	}
	return old, true, err
}
