//go:build linux

package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/keeper"
	"syntap/cmd/internal/namespace"
	"syntap/tap/handshake"
)

// The parts of the show, with the addresses and ports of the tutorial that the notation is known
// from.
var (
	clientSubnet = netip.MustParsePrefix("192.168.1.12/24")
	client       = netip.AddrPortFrom(clientSubnet.Addr(), 1051)
	server       = netip.MustParseAddrPort("192.168.1.11:23")
)

// Show runs Tour in a network namespace with nothing but a loopback. tour is the command line that
// leads to Tour.
func Show(ctx context.Context, tour []string) error {
	session, err := namespace.Start(ctx, namespace.Options{Command: tour, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return err
	}
	defer session.Close()
	return ended(session.Run())
}

// ended turns the end of a stage into an error. A stage that failed has said why.
func ended(status int, err error) error {
	if err == nil && status != 0 {
		return hint.Exit(status)
	}
	return err
}

// timeout ends a tour on a machine where something hangs.
const timeout = 20 * time.Second

// Tour carries one connection through a TUN and explains its opening on w. connect is the command
// line that leads to Connect.
func Tour(ctx context.Context, w io.Writer, connect []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go serve(l)

	var seen witness
	sink, err := audit.Open(config.Sink{Format: config.Classic, Path: "-"},
		audit.Options{Stdout: &seen.lines, Hooks: []logrus.Hook{&seen}})
	if err != nil {
		return err
	}
	c := config.Default()
	c.TUN.Addresses = []netip.Prefix{clientSubnet}
	c.Log.Level = logrus.WarnLevel.String()
	log := logrus.New()
	log.SetLevel(logrus.WarnLevel)
	router := keeper.Execution{
		Config: c, Logger: log, Redirect: to(l.Addr()),
		Log: audit.NewLog([]*audit.Sink{sink}, audit.LogOptions{Logger: log}),
	}
	inside := namespace.Options{Command: connect, Stdout: os.Stdout, Stderr: os.Stderr}
	if err := ended(keeper.Exec(ctx, router, inside, keeper.DefaultDrain)); err != nil {
		return err
	}
	if seen.record == nil || seen.record.SYNACK == nil {
		return errors.New("the tap has not seen the handshake")
	}
	return explain(w, seen.record, seen.lines.String())
}

// serve answers each connection with its end.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// to redirects the server's address, which no interface has, to the address it really listens on.
func to(real net.Addr) map[netip.AddrPort]netip.AddrPort {
	return map[netip.AddrPort]netip.AddrPort{server: real.(*net.TCPAddr).AddrPort()}
}

// Connect opens one connection to the server and waits for its end.
func Connect() error {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(client), Timeout: timeout}
	conn, err := d.Dial("tcp", server.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.Copy(io.Discard, conn)
	return err
}

// witness keeps the lines and the record of the handshake.
type witness struct {
	lines  bytes.Buffer
	record *handshake.Record
}

// Levels implements logrus.Hook.
func (*witness) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (s *witness) Fire(e *logrus.Entry) error {
	if event, ok := e.Data[audit.EventKey].(*audit.Event); ok && event.Record != nil {
		s.record = event.Record.Record
	}
	return nil
}
