package pathmtu

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// timeouts is the number of retransmission timeouts of a segment after which it counts as lost
	// by its size. With 2 % loss each way three transmissions are lost together once in 15,000
	// times.
	timeouts = 2

	// trailers is the number of small segments behind those of the sizes. As they are acknowledged
	// selectively, and no other is, the kernel retransmits at once, and two transmissions have been
	// lost after two round trips.
	trailers = 2
)

// climb sends one segment of each size, in ascending order, on one connection. The far end's
// acknowledgments are cumulative, so they stop before the smallest size that does not pass.
func (t *target) climb(ctx context.Context, sizes []int) (s step, err error) {
	c := t.takeIdle()
	if c == nil {
		if c, err = t.connect(ctx, 0); err != nil {
			return s, err
		}
	}
	defer c.Close()
	s.top = c.largest(c.first)
	total := trailers * c.payload(control)
	for _, size := range sizes {
		if size <= s.top {
			total += c.payload(size)
		}
	}
	stream := unfinished(t.protocol, t.host, t.path, total)
	for _, size := range append(slices.Clone(sizes), control, control) {
		if size > s.top {
			continue
		}
		n := c.payload(size)
		if err := c.send(stream[:n]); err != nil { // reset by the far end: inconclusive
			s.closed = true
			return s, nil
		}
		stream = stream[n:]
		if len(s.sent) < len(sizes) && size == sizes[len(s.sent)] {
			s.sent = append(s.sent, size)
		}
	}
	return s, t.watch(ctx, c, &s)
}

// step is the result of one climb. A size that was neither acknowledged nor lost is in doubt.
type step struct {
	top    int   // the largest packet that the kernel makes
	sent   []int // sizes
	passes int   // largest that was acknowledged; 0 = none
	fails  int   // smallest that was lost; 0 = none
	told   bool  // ICMP made the kernel reduce its path MTU
	closed bool  // the far end has closed the connection
}

// watch waits until all that was sent is acknowledged or lost.
func (t *target) watch(ctx context.Context, c *conn, s *step) error {
	var last uint32
	since := time.Now()
	for {
		info, err := c.info()
		if err != nil {
			return err
		}
		if c.largest(info) < s.top {
			s.told = true
			t.told(c.largest(info))
			return nil
		}
		s.passes = acknowledged(c, s.sent, int(info.Bytes_acked-c.first.Bytes_acked))
		s.closed = info.State == unix.BPF_TCP_CLOSE
		if len(s.sent) == 0 || s.passes == s.sent[len(s.sent)-1] || s.closed {
			return nil
		}
		if info.Total_retrans != last {
			last, since = info.Total_retrans, time.Now()
		}
		rtt := time.Duration(info.Rtt) * time.Microsecond
		timedOut := info.Retransmits >= timeouts && time.Since(since) > rtt+150*time.Millisecond
		behind := int(info.Data_segs_out-info.Total_retrans) - len(s.sent) // trailers, as cwnd allows
		overtaken := behind > 0 && int(info.Sacked) == behind && last > 0 && time.Since(since) > rtt+rtt/2+50*time.Millisecond
		if timedOut || overtaken {
			s.fails = above(s.sent, s.passes)
			return nil
		}
		if !pause(ctx) {
			return nil
		}
	}
}

// acknowledged returns the largest of the sizes sent whose payload lies within the bytes
// acknowledged.
func acknowledged(c *conn, sent []int, bytes int) (size int) {
	for _, s := range sent {
		if bytes -= c.payload(s); bytes < 0 {
			return size
		}
		size = s
	}
	return size
}

// measureUp finds the largest packet that passes towards the far end.
func (t *target) measureUp(ctx context.Context) (*Sizes, error) {
	floor := t.floor()
	first, err := t.climbAgain(ctx, func(top int) []int { return upTo(top, control, floor, 1280, top) })
	switch {
	case err != nil || ctx.Err() != nil:
		return nil, err
	case first.passes == 0 && !first.closed:
		return nil, nil
	case first.fails == 0 && first.passes < first.top:
		return nil, errCloses
	}
	if first.fails == 0 {
		return &Sizes{Passes: first.passes}, nil
	}
	s, disagree, confirmed := search{first.passes, first.fails}, 0, false
	for rounds := 0; !confirmed && ctx.Err() == nil && disagree < mostDisagree; rounds++ {
		t.progress("up: %d bytes pass, %d do not", s.lo, s.hi)
		sizes, last := s.next(), s.done()
		switch {
		case last: // one connection has to show both
			sizes = upTo(s.hi, control, s.lo, s.hi)
		case rounds == 0: // the smallest that has failed may have by chance
			sizes[len(sizes)-1] = s.hi
		}
		step, err := t.climbAgain(ctx, func(int) []int { return sizes })
		if last && step.passes < s.hi && err == nil { // the last word
			step, err = t.climbAgain(ctx, func(int) []int { return sizes })
		}
		if err != nil {
			return nil, err
		}
		switch {
		case step.passes >= s.hi && step.passes >= step.top && disagree < 2:
			return &Sizes{Passes: step.passes}, nil
		case step.passes >= s.hi: // the earlier loss was chance
			s = search{step.passes, step.top}
			disagree++
		case last && step.passes < s.lo && step.fails != 0: // that of now is chance, or another path
			if step.passes > 0 {
				s = search{step.passes, step.fails}
			}
			disagree++
		case step.fails == 0 && step.passes < sizes[len(sizes)-1]: // out of time
			return &Sizes{s.lo, &s.hi, true}, nil
		default:
			s.tried(step.passes, step.fails)
			confirmed = last
			if told := t.toldMTU(); step.fails != 0 && told == 0 && disagree == 0 { // on a second connection
				t.narrow(true, s.lo, s.hi)
			}
		}
	}
	if !confirmed && disagree > 1 {
		return nil, errDisagree
	}
	return &Sizes{s.lo, &s.hi, true}, nil
}

// errCloses says that connections end too early.
var errCloses = errors.New("the far end closes connections before it has acknowledged a full segment")

// mostDisagree is the number of times that a size has failed and passed after which no more are
// tried. Of loss and of paths that change there are fewer.
const mostDisagree = 4

// errDisagree says that a size fails on some connections and passes on others.
var errDisagree = errors.New("connections disagree: one of several paths (ECMP) is narrow, or packets are lost at times")

// climbAgain climbs, and again where ICMP has changed the largest packet, or the far end has closed
// the connection before the sizes were acknowledged or lost.
func (t *target) climbAgain(ctx context.Context, sizes func(top int) []int) (s step, err error) {
	top := t.largest()
	for range 4 {
		if s, err = t.climb(ctx, sizes(top)); err != nil || ctx.Err() != nil {
			return s, err
		}
		if !s.told && s.top == top && (s.fails != 0 || len(s.sent) > 0 && s.passes == s.sent[len(s.sent)-1]) {
			return s, nil
		}
		if s.top != top && !s.told {
			top = s.top
		} else if s.told {
			top = t.toldMTU()
		}
	}
	return s, nil
}
