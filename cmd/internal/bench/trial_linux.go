package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settings hold for all trials of a run.
type settings struct {
	window time.Duration     // how long a load is measured
	held   int               // idle connections for the memory figure
	beside int               // idle connections beside a load
	mtu    int               // of the TUN, unless the case has one
	paths  map[string]string // of the programs, by their command
}

// place is how a case wants the lab.
type place struct {
	mtu     int  // of the TUN; 0 = that of the settings
	gateway bool // the client is another machine, for which the router's forwards
}

// warmUp is how long a load runs before it is measured.
func (s settings) warmUp() time.Duration { return s.window / 3 }

// trial is one case with one router.
type trial struct {
	settings
	place
	router  router
	process *process // of the router; nil if it has none
	far     *child
	loads   []*child

	ctx  context.Context // of the trial and its processes
	stop context.CancelFunc
	all  []*process
	lab  *lab
	dir  string
}

// newTrial starts a router in a new lab and returns once it carries a connection. The caller closes
// the trial, also when there is an error. A trial that hangs is ended with ctx, or after more time
// than any takes.
func newTrial(ctx context.Context, s settings, p place, r router) (t *trial, err error) {
	t = &trial{settings: s, place: p, router: r}
	if p.mtu == 0 {
		t.place.mtu = s.mtu
	}
	t.ctx, t.stop = context.WithTimeout(ctx, time.Minute+5*s.window)
	if t.dir, err = os.MkdirTemp("", "syntap-bench"); err != nil {
		return t, err
	}
	if t.lab, err = newLab(t.ctx, p.gateway); err != nil {
		return t, err
	}
	if t.far, err = t.startChild(t.lab.far, "serve", net.JoinHostPort(farAddr, farPort)); err != nil {
		return t, err
	}
	if r.clientNamespace {
		name := clientName(t.dir)
		if err := t.lab.client.bind(name); err != nil {
			return t, err
		}
		defer func() { err = errors.Join(err, unbind(name)) }()
	}
	if r.store {
		if _, err := t.startChild(t.lab.near, "store", storeAddr); err != nil {
			return t, err
		}
	}
	if r.name != direct {
		if err := t.startRouter(); err != nil {
			return t, err
		}
	}
	return t, t.ready(farPort)
}

func (t *trial) close() error {
	_ = t.signal(unix.SIGCONT) // a stopped process would not end
	t.stop()
	for _, p := range t.all {
		<-p.done
	}
	if t.lab != nil {
		t.lab.close()
	}
	return os.RemoveAll(t.dir)
}

func (t *trial) startRouter() error {
	command, err := t.router.command(t.paths[t.router.program.command], t.dir, t.place)
	if err != nil {
		return err
	}
	t.process = newProcess(t.ctx, command)
	t.process.cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+t.dir) // of syntap's journals
	t.all = append(t.all, t.process)
	return t.process.start(t.lab.near)
}

// startChild starts a child that ends with the trial.
func (t *trial) startChild(ns namespace, args ...string) (*child, error) {
	return t.startOther(ns, append([]string{self, childArgument}, args...))
}

// startOther starts a program that answers as a child does.
func (t *trial) startOther(ns namespace, command []string) (*child, error) {
	c, err := startChild(t.ctx, ns, command)
	if c != nil {
		t.all = append(t.all, c.process)
	}
	return c, err
}

// client returns the namespace of the router's client.
func (t *trial) client() namespace {
	if t.router.clientNamespace || t.gateway {
		return t.lab.client
	}
	return t.lab.near
}

// startLoad starts a load n times in parallel.
func (t *trial) startLoad(kind string, n int) (*child, error) {
	program, port := self, farPort
	command := []string{childArgument, "load", kind}
	if quic, ok := strings.CutPrefix(kind, "quic-"); ok {
		program, port = t.paths[quicload.command], quicPort
		command = []string{"load", quic}
	} else if kind == "dns" {
		port = dnsPort
	}
	return t.startClient(append(append([]string{program}, command...), t.router.target(port), fmt.Sprint(n)))
}

// startClient starts a load.
func (t *trial) startClient(command []string) (*child, error) {
	c, err := t.startOther(t.client(), command)
	if c != nil {
		t.loads = append(t.loads, c)
	}
	return c, err
}

// signal sends a signal to all loads.
func (t *trial) signal(s os.Signal) (err error) {
	for _, c := range t.loads {
		err = errors.Join(err, c.cmd.Process.Signal(s))
	}
	return err
}

// startBulk starts a load n times in parallel that others are measured beside. Its far end is a
// process of its own: in one, a goroutine that echoes would wait for those that send.
func (t *trial) startBulk(kind string, n int) error {
	if _, err := t.startChild(t.lab.far, "serve", net.JoinHostPort(farAddr, bulkPort)); err != nil {
		return err
	}
	if err := t.ready(bulkPort); err != nil {
		return err
	}
	_, err := t.startClient([]string{self, childArgument, "load", kind, t.router.target(bulkPort), fmt.Sprint(n)})
	return err
}

// ready waits until a connection through the router to a port echoes.
func (t *trial) ready(port string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := t.tryConnection(port)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if err := t.wait(20 * time.Millisecond); err != nil {
			return err
		}
	}
}

// tryConnection leads the client's traffic into the TUN, if there is one, and tries a connection.
func (t *trial) tryConnection(port string) error {
	if t.router.tun {
		setup := strings.ReplaceAll(t.router.ip, "MTU", strconv.Itoa(t.place.mtu))
		if err := t.lab.near.ip(t.ctx, setup+"route replace "+farAddr+"/32 dev "+tunName); err != nil {
			return err
		}
	}
	return t.client().do(func() error {
		conn, err := openEcho(t.router.target(port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// wait lets time pass, unless the trial or its router ends.
func (t *trial) wait(d time.Duration) error {
	var ended chan struct{}
	if t.process != nil {
		ended = t.process.done
	}
	select {
	case <-time.After(d):
		return nil
	case <-ended:
		return t.process.ended()
	case <-t.ctx.Done():
		return errors.New("trial took too long")
	}
}

// span is the difference of counters over the window of a load.
type span struct {
	sample         // Elapsed, Bytes, Done and Failed are of the window
	cpu    float64 // seconds of the router, if it has a process
}

// measure warms a load up and returns the counters of a window after that, as the receiver
// has them.
func (t *trial) measure(receiver *child, warmUp, window time.Duration) (span, error) {
	if err := t.wait(warmUp); err != nil {
		return span{}, err
	}
	before, err := t.take(receiver)
	if err != nil {
		return span{}, err
	}
	if err := t.wait(window); err != nil {
		return span{}, err
	}
	after, err := t.take(receiver)
	after.Elapsed -= before.Elapsed
	after.Bytes -= before.Bytes
	after.Done -= before.Done
	after.Failed -= before.Failed
	after.cpu -= before.cpu
	return after, err
}

// take returns everything since the start of child and router.
func (t *trial) take(receiver *child) (s span, err error) {
	if s.sample, err = receiver.sample(); err != nil || t.process == nil {
		return s, err
	}
	cpu, err := t.process.cpu()
	s.cpu = cpu.Seconds()
	return s, err
}
