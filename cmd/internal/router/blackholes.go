//go:build linux

package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/blackhole"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/pathmtu"
	"syntap/cmd/internal/record"
	"syntap/stack"
	"syntap/stack/dial"
	"syntap/tun/flow"
)

// blackHoles finds path MTU black holes from the connections of a router. Without connections the
// finder asks nothing, so the router's parts may be made later.
type blackHoles struct {
	*blackhole.Finder
	router *assembly
	config atomic.Pointer[config.Config] // in force
}

// atLeisure is the time of a measurement of a path that is known to be narrow: under loss the exact
// sizes take longer.
const atLeisure = 30 * time.Second

// lately is the age of connections that are compared with those that stall.
const lately = 2 * time.Minute

func newBlackHoles(a *assembly) *blackHoles {
	h := &blackHoles{router: a}
	h.config.Store(a.config)
	h.Finder = blackhole.New(blackhole.Options{
		Measure: h.measure, MeasureClient: h.measureClient, Known: pathmtu.Known, Opens: h.opens,
		Found: h.found, Cures: h.cures,
		Passes: func(far netip.Addr) (up, down bool) { return a.stack.PassFull(far, time.Now().Add(-lately)) },
		Unsure: h.unsure,
		Disagree: func(far netip.Addr) {
			a.logger.WithField("dst", far.String()).
				Warn("full segments vanish on some connections and pass on others: one of several paths (ECMP) is too narrow")
		},
		ClearDF:        func(k flow.Key) bool { return a.stack.ClearDF(k) },
		Acked:          func(k flow.Key) (acked uint64, ok bool) { return a.stack.AckedOf(k) },
		LowerClientMTU: func(k flow.Key, mtu int) bool { return a.stack.LowerClientMTU(k, mtu) },
		Reset:          func(k flow.Key) { a.stack.ResetStuck(k) },
	})
	return h
}

// Stalled takes a connection that makes no progress, unless findings are off.
func (h *blackHoles) Stalled(s flow.Stall) {
	if h.config.Load().Tap.Findings != config.FindingsOff {
		h.Finder.Stalled(s)
	}
}

// first says how the first bytes of a connection are sent: on ports where nothing is measured they
// have to tell.
func (h *blackHoles) first(port uint16) (learn, short bool) {
	looks := h.config.Load().Tap.Findings != config.FindingsOff
	return looks, looks && !pathmtu.Known(port)
}

// cures reports whether an mss rule in force keeps to findings.
func (h *blackHoles) cures(client, server netip.AddrPort) bool {
	return h.router.tap.Rules().Learns(client, server)
}

// found records a finding, and names its cure.
func (h *blackHoles) found(f *record.Finding) {
	h.router.log.Finding(f)
	fields := logrus.Fields{"dst": f.Dst, "direction": f.Direction, "confidence": string(f.Confidence)}
	if f.Leg != "" {
		fields["leg"] = string(f.Leg)
	}
	if f.Name != "" {
		fields["name"] = f.Name
	}
	if f.Passes > 0 {
		fields["passes"], fields["fails"] = f.Passes, f.Fails
	}
	if !f.Applied {
		side := "dst"
		if f.Leg == record.ClientLeg {
			side = "src"
		}
		fields["hint"] = fmt.Sprintf("mss: [{%s: [%q], clamp: %d}], or tap: {findings: apply}", side, f.Dst, f.Clamp)
	} else {
		fields["clamp"] = f.Clamp
	}
	h.router.logger.WithFields(fields).Warn("path MTU black hole: longer packets vanish without an ICMP error")
}

// unsure names a far end to which a connection hung until the router ended.
func (h *blackHoles) unsure(far netip.AddrPort, name string) {
	host := far.String()
	if name != "" {
		host = net.JoinHostPort(name, fmt.Sprint(far.Port()))
	}
	h.router.logger.WithFields(logrus.Fields{"dst": far.String(), "hint": "syntap mtu " + host}).
		Warn("a connection hung until the end: the server is slow, or longer packets vanish (path MTU black hole)")
}

// measure measures a path by sockets like those of connections.
func (h *blackHoles) measure(
	ctx context.Context, far netip.AddrPort, name string, patient bool, soFar func(blackhole.Path),
) (path blackhole.Path, err error) {
	if name == "" {
		name = far.Addr().String()
	}
	timeout := pathmtu.Patience
	if patient {
		timeout = atLeisure
	}
	h.router.logger.WithField("server", far.String()).Debug("measuring the path MTU, as a connection stalls")
	r, err := pathmtu.Measure(ctx, pathmtu.Options{
		Host: name, Address: far, Path: "/", LinkMTU: h.linkMTU(far.Addr()), OnlyTCP: true,
		Socket: func() (int, error) { return h.socket(far) }, Timeout: timeout,
		Opened: func() { soFar(blackhole.Path{}) },
		Narrow: func(up bool, passes, fails int) {
			way := blackhole.Way{Hole: true, Passes: passes, Fails: fails}
			if up {
				soFar(blackhole.Path{Up: way})
			} else {
				soFar(blackhole.Path{Down: way})
			}
		},
	})
	if err != nil {
		return path, err
	}
	return pathOf(r)
}

// pathOf returns what a measurement has found.
func pathOf(r *pathmtu.Result) (path blackhole.Path, err error) {
	path.Rough = r.Late || r.Disagree
	path.Up.Undecided, path.Down.Undecided = r.Up == nil, r.Down == nil
	switch r.Verdict {
	case pathmtu.BlackHoleUp:
		path.Up = wayOf(r.Up)
	case pathmtu.BlackHoleDown:
		path.Down = wayOf(r.Down)
	case pathmtu.Both:
		path.Up, path.Down = wayOf(r.Up), wayOf(r.Down)
	case pathmtu.Undecided:
		if r.Up != nil && r.Down == nil && !r.Late && !r.Disagree {
			return path, blackhole.ErrUndecided
		}
		return path, errors.New(r.Note)
	}
	return path, nil
}

// socket returns a socket for a question of the router's own.
func (h *blackHoles) socket(far netip.AddrPort) (int, error) {
	if err := h.router.dialer.Announce(far, true); err != nil {
		return -1, err
	}
	return h.router.dialer.Stream(far.Addr())
}

// measureClient measures the path to the client of a connection whose packets of a size are stuck.
func (h *blackHoles) measureClient(ctx context.Context, k flow.Key, size int) (path blackhole.Path, err error) {
	h.router.logger.WithField("client", k.Client.String()).Debug("measuring the path MTU, as a connection stalls")
	passes, err := pathmtu.Find(size, k.Client.Addr(), func(sizes []int) ([]bool, error) {
		return h.router.stack.ProbeClient(ctx, k, sizes)
	})
	switch {
	case errors.Is(err, stack.ErrNoProbe):
		return path, fmt.Errorf("%w: %w", blackhole.ErrUndecided, err)
	case err != nil, passes == size:
		return path, err
	}
	path.Up = blackhole.Way{Hole: true, Passes: passes, Fails: passes + 1}
	return path, nil
}

func wayOf(s *pathmtu.Sizes) blackhole.Way {
	return blackhole.Way{Hole: true, Passes: s.Passes, Fails: *s.Fails}
}

// linkMTU returns the MTU of the link by which marked packets to an address leave; 0 = unknown, as
// in a network other than that of upstream sockets.
func (h *blackHoles) linkMTU(a netip.Addr) int {
	o := netlink.RouteGetOptions{Mark: h.router.mark, Oif: h.config.Load().Egress.Interface}
	routes, err := netlink.RouteGetWithOptions(net.IP(a.AsSlice()), &o)
	if err != nil || len(routes) == 0 {
		return 0
	}
	link, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return 0
	}
	return link.MTU
}

// opensWithin bounds the time of a handshake that shows that a far end is there.
const opensWithin = 5 * time.Second

// opens opens a connection and closes it again.
func (h *blackHoles) opens(ctx context.Context, far netip.AddrPort) bool {
	fd, err := h.socket(far) // its end is a RST
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if errno := dial.Connect(fd, far); errno != 0 && errno != unix.EINPROGRESS {
		return false
	}
	for deadline := time.Now().Add(opensWithin); time.Now().Before(deadline) && ctx.Err() == nil; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		if n > 0 {
			errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			return err == nil && errno == 0
		}
	}
	return false
}
