//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/keeper"
	"syntap/cmd/internal/namespace"
)

// member is a router of the fleet, with the network behind it.
type member struct {
	name   string
	subnet netip.Prefix     // with the client's address
	visits []netip.AddrPort // that its client makes
}

// The servers of the fleet's demo. The one that refuses is where no program listens.
var (
	webServer = netip.MustParseAddrPort("203.0.113.10:443")
	refusing  = netip.MustParseAddrPort("203.0.113.20:5432")
	members   = []member{
		{"gw1", netip.MustParsePrefix("192.168.1.12/24"), []netip.AddrPort{webServer, refusing}},
		{"gw2", netip.MustParsePrefix("192.168.2.34/24"), []netip.AddrPort{webServer}},
	}
)

// fleetTimeout ends the demo of a fleet on a machine where something hangs.
const fleetTimeout = 2 * time.Minute

// ShowFleet runs FleetTour in a network namespace with nothing but a loopback. tour is the command
// line that leads to it but for the store's program, which comes last.
func ShowFleet(ctx context.Context, tour []string) error {
	program, err := findStore(ctx, os.Stderr)
	if err != nil {
		return err
	}
	return Show(ctx, append(tour, program))
}

// FleetTour has two routers carry connections and ship their logs to a store, and asks the store on
// w. self is this program's path, and program that of the store.
func FleetTour(ctx context.Context, w io.Writer, self, program string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, fleetTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "syntap-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go serve(l)
	url, stop, err := startStore(ctx, program, dir)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(w, fleetText, url)
	for i := range members {
		m := &members[i]
		if err := m.route(ctx, l.Addr(), filepath.Join(dir, m.name), self, url); err != nil {
			return fmt.Errorf("router %s: %w", m.name, err)
		}
	}
	for _, q := range []question{
		{[]string{"log", "--fleet"}, []string{"192.168.1.12", "refused", "192.168.2.34"}},
		{[]string{"log", "--fleet", "--outcome", "refused"}, []string{"refused"}},
		{[]string{"fleet"}, []string{"gw1", "gw2"}},
	} {
		if err := q.ask(ctx, w, self, url); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(w, fleetEnd)
	return err
}

// question is a command of this program, and words of its answer.
type question struct{ command, words []string }

// ask prints the command and its answer. A store shows some seconds late what it has: until then
// it is asked again.
func (q *question) ask(ctx context.Context, w io.Writer, self, url string) error {
	args := append(q.command, "--store", url)
	for {
		cmd := exec.CommandContext(ctx, self, args...)
		cmd.Stderr = os.Stderr
		answer, err := cmd.Output()
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		missing := func(word string) bool { return !strings.Contains(string(answer), word) }
		if !slices.ContainsFunc(q.words, missing) {
			_, err := fmt.Fprintf(w, "\n$ syntap %s\n%s", strings.Join(args, " "), answer)
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

const fleetText = `Two routers and a store, each in its own corner of this machine:

    client 192.168.1.12 ══ TUN ══ syntap, gw1 ──┬── servers
                                   │ its log    │
                                   ▼            │
                                 store          │
                                   ▲            │
                                   │ its log    │
    client 192.168.2.34 ══ TUN ══ syntap, gw2 ──┘

Each client opens connections, each router ships its log to the store, which is
%s. Then one query asks for the connections of all routers:
`

const fleetEnd = `
Two keys of a config make a router a member:
    fleet: {router: gw1, stores: [{url: "https://logs1.example.com:9441"}]}
configs/fleet has the store, the proxy in front of it, and the certificates.
`

// route has a router carry the visits of its client, ship its log to the store, and waits until
// the store has it.
func (m *member) route(ctx context.Context, server net.Addr, dir, self, url string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	c := config.Default()
	c.TUN.Addresses = []netip.Prefix{m.subnet}
	c.Tap.Log = []config.Sink{
		{Format: config.JSON, Path: filepath.Join(dir, "handshakes.json"), Chain: true},
	}
	logger := logrus.New()
	logger.SetLevel(logrus.WarnLevel)
	log, err := keeper.OpenLog(c, io.Discard, logger, nil)
	if err != nil {
		return err
	}
	c.Log.Level = logrus.WarnLevel.String()
	router := keeper.Execution{Config: c, Logger: logger, Log: log, Redirect: m.redirect(server), KeepRights: true}
	visit := []string{self, "demo", "--stage", "visit"}
	for _, v := range m.visits {
		visit = append(visit, v.String())
	}
	inside := namespace.Options{Command: visit, Stdout: os.Stdout, Stderr: os.Stderr}
	if err := ended(keeper.Exec(ctx, router, inside, keeper.DefaultDrain)); err != nil {
		return err
	}
	store, err := victorialogs.New(otlp.Options{URL: url})
	if err != nil {
		return err
	}
	shipping, stop := context.WithCancel(ctx)
	shipped := make(chan struct{})
	go func() {
		defer close(shipped)
		fleet.New(fleet.Options{
			Router: m.name, Path: c.Tap.Log[0].Path, Delay: 10 * time.Millisecond, Logger: logger,
			Destinations: []fleet.Destination{{URL: url, Receiver: store}},
			Times:        fleet.Times{Settle: time.Millisecond, Finish: time.Millisecond}, // the store is new
		}).Run(shipping)
	}()
	err = m.wait(ctx, store, c.Tap.Log[0].Path)
	stop()
	<-shipped
	return err
}

// redirect leads the servers' addresses, which no interface has, to the one that listens and, for
// the refusing one, to a port where none does.
func (m *member) redirect(server net.Addr) map[netip.AddrPort]netip.AddrPort {
	target := server.(*net.TCPAddr).AddrPort()
	return map[netip.AddrPort]netip.AddrPort{
		webServer: target,
		refusing:  netip.AddrPortFrom(target.Addr(), 1), // tcpmux, of 1988
	}
}

// wait waits until the store has the whole log of the router.
func (m *member) wait(ctx context.Context, store *victorialogs.Client, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	records := uint64(strings.Count(string(text), "\n"))
	for {
		states, err := store.Logs(ctx, m.name)
		if err == nil && len(states) == 1 && states[0].Last == records {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Visit opens a connection to each address, and waits for its end. Where one is refused that is as
// it should be.
func Visit(addresses []string) error {
	d := net.Dialer{Timeout: fleetTimeout}
	for _, address := range addresses {
		conn, err := d.Dial("tcp", address)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	return nil
}
