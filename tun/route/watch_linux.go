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

// repairInterval is the least time between two repairs. It bounds the watcher's load beside a
// program that deletes without a pause. With many routes, of which some always change, a look at
// all of them takes long: then the next one comes after repairPause times as long.
const (
	repairInterval = 250 * time.Millisecond
	repairPause    = 9
)

// resolversInterval is the interval between two readings of the host's nameservers. A resolver asks
// again after about five seconds.
const resolversInterval = 2 * time.Second

// Watch restores rules, routes and addresses that another program removes, and parameters of the
// interface that one changes, until ctx ends. It brings up an interface that was set down, and
// restores the objects that the kernel removed with it. It follows the host's own rules and routes
// as they come and go. A repair that fails is reported and tried again. The error wraps
// ErrGone if the interface is deleted.
func (h *Host) Watch(ctx context.Context, report Report) error {
	if h.changes == nil {
		<-ctx.Done()
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	changed := make(chan struct{}, 1)
	for _, f := range h.changes {
		g.Go(func() error { return h.listen(ctx, f, changed) })
	}
	c := h.config
	g.Go(func() error { pollResolvers(ctx, c, changed); return nil })
	g.Go(func() error { return h.repairAll(ctx, changed, report) })
	g.Go(func() error { // ends listen
		<-ctx.Done()
		for _, f := range h.changes {
			_ = f.SetReadDeadline(time.Now()) // fails only on a closed file
		}
		return nil
	})
	return g.Wait()
}

// Restored returns the number of rules, routes and addresses that Watch has restored.
func (h *Host) Restored() uint64 { return h.restored.Load() }

// subscribe returns sockets on which the kernel reports every change of links and their parameters,
// addresses, routes, nexthop objects and rules, and of nftables if the kernel has it.
func subscribe() ([]*os.File, error) {
	routing, err := subscribeTo("rtnetlink", unix.NETLINK_ROUTE, []int{
		unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF, unix.RTNLGRP_NEXTHOP,
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
	const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|flags, protocol)
	if err != nil {
		return nil, fmt.Errorf("open %s socket: %w", name, err)
	}
	var bits uint32
	for _, g := range groups {
		bits |= 1 << (g - 1)
	}
	address := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: bits}
	if err := unix.Bind(fd, address); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("subscribe to changes by %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// listen signals every change. It reads neither the kind of change nor messages that did not fit
// the socket's buffer, because a repair looks at all objects.
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
		signal(changed)
	}
}

// pollResolvers signals every change of the host's nameservers.
func pollResolvers(ctx context.Context, c Config, changed chan<- struct{}) {
	ticks := time.NewTicker(resolversInterval)
	defer ticks.Stop()
	for known := c.resolvers(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		if now := c.resolvers(); !slices.Equal(now, known) {
			known = now
			signal(changed)
		}
	}
}

func signal(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// repairAll repairs after each change, but not more often than each repairInterval. It repeats a
// step that failed, at growing intervals.
func (h *Host) repairAll(ctx context.Context, changed <-chan struct{}, report Report) error {
	const longest = time.Minute
	retry := repairInterval
	ticks := time.NewTicker(pastInterval)
	defer ticks.Stop()
	for {
		start := time.Now()
		failed, err := h.repairOnce(ctx, report)
		if err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(repairInterval, min(repairPause*time.Since(start), longest))):
		case <-h.asked:
			continue
		}
		var again <-chan time.Time
		if failed {
			again = time.After(retry)
			retry = min(2*retry, longest)
		} else {
			retry = repairInterval
		}
		var read <-chan time.Time
		if h.stale {
			read = time.After(time.Until(h.readNext))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			h.stale = true
		case <-h.asked:
		case <-again:
		case <-read:
		case <-ticks.C:
		}
	}
}

// repairOnce repairs and calls report. The interface may be deleted when ctx ends, so no error of
// that time counts.
func (h *Host) repairOnce(ctx context.Context, report Report) (failed bool, err error) {
	err = h.repair(func(command string, err error) {
		failed = failed || err != nil
		if ctx.Err() == nil {
			report.Repair(command, err)
		}
	})
	if ctx.Err() != nil {
		return false, nil
	}
	if err != nil {
		return failed, err
	}
	h.noteSameMark()
	if report.Looked != nil {
		report.Looked(h.notices)
	}
	// An error means that the table is gone; the next repair restores it.
	if past, err := h.past(); err == nil && len(past) > 0 && report.Past != nil {
		report.Past(past)
	}
	return failed, nil
}

// repair makes every watched step again, and reports those that were undone. The only error that
// repair returns wraps ErrGone; it reports all others.
func (h *Host) repair(report func(command string, err error)) error {
	link, err := h.nl.LinkByName(h.config.Name)
	if isGone(err) || err == nil && link.Attrs().Index != h.index {
		return fmt.Errorf("watch %s: %w", h.config.Name, ErrGone)
	} else if err != nil {
		report("", fmt.Errorf("watch %s: %w", h.config.Name, err))
		return nil
	}
	created := false
	old := h.config
	changed, err := h.resurvey()
	if err != nil {
		report("", err) // the last underlay stays in force
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
		default:
			report(s.summary(), err)
		}
	}
	former := h.left
	if changed {
		former = append(former, old.steps()...)
	}
	h.left = nil
	return h.undoOthers(former, steps, func(s step, err error) error {
		h.left = slices.Insert(h.left, 0, s)
		report(s.undoCommand(), err)
		return nil
	})
}

// noticesPause is how many times as long as it has taken to read the host's firewall Watch waits
// before it reads that again: there may be thousands of rules.
const noticesPause = 49

// settling is how long a notice has to hold before Watch tells it: a firewall that loads its rules
// may drop all packets meanwhile, as firewalld does.
const settling = 5 * time.Second

// readStanding reads the notices that are not about rules and routes, if something has changed, and
// the last reading was not just now.
func (h *Host) readStanding(c Config) {
	start := time.Now()
	if !h.stale || start.Before(h.readNext) {
		return
	}
	now := hostNotices(h.nl, c)
	if h.readNext.IsZero() {
		h.seen = now
	}
	h.standing, h.stale = settled(h.seen, now)
	h.seen = now
	pause := noticesPause * time.Since(start)
	if h.stale {
		pause = max(pause, settling)
	}
	h.readNext = time.Now().Add(pause)
}

// settled returns the notices that were seen before, and whether there are others.
func settled(seen, now []Notice) (standing []Notice, more bool) {
	for _, n := range now {
		if slices.Contains(seen, n) {
			standing = append(standing, n)
		} else {
			more = true
		}
	}
	return standing, more
}

// resurvey reads the underlay again and puts it into the config, once the journal has it. After an
// error the config is as before.
func (h *Host) resurvey() (changed bool, err error) {
	next := h.config
	err = h.do("read the host's network", func(k *handles) error {
		u, notices, err := survey(k, h.config)
		if err == nil {
			next.Underlay = u
			next.Underlay.Refused = h.refuse.Load()
			h.readStanding(next)
			h.notices = append(notices, h.standing...)
		}
		return err
	})
	if err != nil || reflect.DeepEqual(next.Underlay, h.config.Underlay) {
		return false, err
	}
	if h.journal != nil {
		begin := func(*handles) error { return h.journal.begin(next) }
		if err := h.do("follow the host's network", begin); err != nil {
			return false, err
		}
	}
	h.config = next
	return true, nil
}
