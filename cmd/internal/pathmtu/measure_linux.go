package pathmtu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Options say how to measure.
type Options struct {
	Host     string         // as the user names it
	Address  netip.AddrPort // where to connect
	Path     string         // asked for by HTTP
	Progress func(string)   // called with one line now and then; nil disables it
	// Opened is called once a connection has opened; nil disables it.
	Opened func()
	// Narrow is called when it is certain that packets vanish, in a direction, with the sizes that
	// are known by then; two goroutines call it. nil disables it.
	Narrow func(up bool, passes, fails int)

	// Socket returns a TCP socket of the address's family that does not block, such as a marked
	// one; nil = an ordinary one.
	Socket func() (fd int, err error)
	// LinkMTU is the MTU of the link by which packets leave; 0 = that of the host's route.
	LinkMTU int
	// OnlyTCP leaves ICMP and the hops out.
	OnlyTCP bool
	// Timeout is the time that the measurement takes at most; 0 = Patience.
	Timeout time.Duration
}

// Patience is the time that a measurement takes at most, unless Options say otherwise.
const Patience = 9500 * time.Millisecond

// target is a far end that is being measured.
type target struct {
	host, path string
	address    netip.AddrPort
	protocol   Protocol
	link       int // MTU of the link towards it
	timeout    time.Duration
	report     func(string)
	narrow     func(up bool, passes, fails int)
	socket     func() (fd int, err error)

	mu sync.Mutex
	// idle are connections for the first probes of the way up. They and the first of the way down
	// are opened before ICMP, which probes cause, lowers the MSS that both ends announce.
	idle []*conn

	top    int           // largest packet that the kernel made before ICMP spoke
	server int           // largest MSS announced by the far end
	client int           // largest MSS announced to it
	icmp   int           // path MTU that ICMP made the kernel take; 0 = none
	rtt    time.Duration // shortest
	first  time.Duration // shortest from a question to the first byte of its answer
}

// Measure measures the path to and from a far end. It fails where no connection opens.
func Measure(ctx context.Context, o Options) (*Result, error) {
	timeout := cmp.Or(o.Timeout, Patience)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := &target{
		timeout: timeout, narrow: o.Narrow,
		host: o.Host, path: o.Path, address: o.Address, report: o.Progress, socket: o.Socket,
	}
	if t.socket == nil {
		t.socket = func() (int, error) { return newSocket(o.Address.Addr()) }
	}
	if t.report == nil {
		t.report = func(string) {}
	}
	if t.narrow == nil {
		t.narrow = func(bool, int, int) {}
	}
	t.progress("connecting to %s", o.Address)
	c, err := t.connect(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, t.cause(ctx, err))
	}
	t.keep(c)
	if o.Opened != nil {
		o.Opened()
	}
	var opening sync.WaitGroup
	defer func() {
		cancel()
		opening.Wait()
		for c := t.takeIdle(); c != nil; c = t.takeIdle() {
			c.Close()
		}
	}()
	for range spares {
		opening.Go(func() {
			if c, err := t.connect(ctx, 0); err == nil {
				t.keep(c)
			}
		})
	}
	t.link = max(o.LinkMTU, t.largest())
	if o.LinkMTU == 0 {
		t.link = max(linkMTU(t.address.Addr()), t.largest())
	}
	t.progress("asking in the protocols of port %d", o.Address.Port())
	control, err := t.detect(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", o.Address, t.cause(ctx, err))
	}
	r := &Result{Address: t.address, Protocol: t.protocol, LinkMTU: t.link}
	var said word
	var upErr, downErr error
	var all sync.WaitGroup
	full := make(chan struct{}) // asked for
	all.Go(func() { r.Down, downErr = t.measureDown(ctx, control, sync.OnceFunc(func() { close(full) })) })
	<-full
	if !o.OnlyTCP {
		all.Go(func() { said = t.askICMP(ctx) })
	}
	all.Go(func() { r.Up, upErr = t.measureUp(ctx) })
	all.Wait()
	t.finish(ctx, r, said, upErr, downErr)
	return r, nil
}

// cause returns the reason for which no connection opened.
func (t *target) cause(ctx context.Context, err error) error {
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in %v", t.timeout)
	case errors.As(err, &errno):
		return errno
	default:
		return err
	}
}

func (t *target) finish(ctx context.Context, r *Result, said word, upErr, downErr error) {
	r.Late = ctx.Err() != nil
	r.Hops = append([]Hop{}, said.hops...)
	r.MSS = MSS{t.client, t.server}
	if mtu := said.mtu; mtu != 0 {
		r.ICMP = &mtu
	}
	if told := t.toldMTU(); told != 0 && (r.ICMP == nil || *r.ICMP > told) {
		r.ICMP = &told
	}
	if r.Up != nil && r.Up.Fails == nil && r.ICMP != nil && *r.ICMP == r.Up.Passes && r.Up.Passes < r.LinkMTU {
		fails := r.Up.Passes + 1 // which ICMP has forbidden
		r.Up.Fails = &fails
	}
	r.decide()
	r.Disagree = errors.Is(upErr, errDisagree) || errors.Is(downErr, errDisagree)
	r.noUp = t.obstacle(ctx, upErr, "the far end acknowledges nothing")
	r.noDown = t.obstacle(ctx, downErr, "the far end sends no full segment")
	switch {
	case r.Verdict != Undecided:
	case r.Up == nil:
		r.Note = r.noUp
	default:
		r.Note = r.noDown
	}
}

// obstacle is the reason for which a way has no sizes.
func (t *target) obstacle(ctx context.Context, err error, usual string) string {
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("no decision in %v", t.timeout)
	case err != nil:
		return err.Error()
	}
	return usual
}

// roundTrip is the shortest time that a connection took to open.
func (t *target) roundTrip() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rtt
}

func (t *target) floor() int { return floorOf(t.address.Addr()) }

// connected notes the numbers of a connection that has opened.
func (t *target) connected(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.server = max(t.server, int(c.first.Snd_mss)+c.options)
	t.client = max(t.client, int(c.first.Advmss)+c.options)
	t.top = max(t.top, c.largest(c.first))
	if rtt := time.Duration(c.first.Rtt) * time.Microsecond; t.rtt == 0 || rtt < t.rtt {
		t.rtt = rtt
	}
}

// spares is the number of idle connections besides the first: where a size fails on that by chance,
// later ones may not have that size any more.
const spares = 2

// keep has a connection wait.
func (t *target) keep(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, c)
}

// takeIdle returns a connection that waits, each once; nil = there is none.
func (t *target) takeIdle() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) == 0 {
		return nil
	}
	c := t.idle[0]
	t.idle = t.idle[1:]
	return c
}

// answered notes the time from a question to the first byte of its answer. The shortest is without
// loss.
func (t *target) answered(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == 0 || d < t.first {
		t.first = d
	}
}

// ownTime is the time that the far end takes to answer, without that of the path.
func (t *target) ownTime() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, t.first-t.rtt)
}

// told notes that ICMP has made the kernel send packets of this size at most.
func (t *target) told(mtu int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.icmp = mtu
}

func (t *target) toldMTU() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.icmp
}

// largest is the largest packet that the kernel makes.
func (t *target) largest() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.top
}

// largestDown is the largest packet that the far end may send.
func (t *target) largestDown() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.client + headers(t.address.Addr())
}

func (t *target) progress(format string, args ...any) { t.report(fmt.Sprintf(format, args...)) }

// zone returns the interface of a link-local address; 0 = none.
func zone(a netip.Addr) uint32 {
	if link, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(link.Index)
	}
	n, _ := strconv.ParseUint(a.Zone(), 10, 32)
	return uint32(n)
}
