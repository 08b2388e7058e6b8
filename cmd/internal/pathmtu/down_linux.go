package pathmtu

import (
	"context"
	"errors"
	"sync"
	"time"
)

// down is the search for the largest packet that passes from the far end.
type down struct {
	search
	t       *target
	control controlled
	headers int
	top     int // the largest size
	slow    bool
	// inverted counts sizes that have failed while a larger one passed, on another connection.
	inverted int
	agree    int // rounds in which a size has passed and a larger one failed
}

// measureDown has the far end send its answer in segments of an announced MSS, on a connection for
// each. control is the exchange with the smallest MSS.
func (t *target) measureDown(ctx context.Context, control controlled, askedFull func()) (*Sizes, error) {
	defer askedFull()
	if !control.full { // it has less to say than one segment
		return nil, nil
	}
	d := &down{t: t, control: control, headers: headers(t.address.Addr()), top: t.largestDown()}
	full, err := d.try(ctx, d.top, false)
	askedFull()
	switch {
	case err != nil:
		return nil, err
	case full.passes:
		return &Sizes{Passes: d.top}, nil
	case full.limit != 0:
		return &Sizes{Passes: full.limit}, nil
	case !full.stalls:
		return nil, nil
	}
	d.search = search{t.floor(), d.top}
	for ctx.Err() == nil {
		if result, err := d.narrow(ctx); result != nil || err != nil {
			return result, err
		}
	}
	return d.result()
}

// narrow tries the sizes of a round. It returns the result if there is one.
func (d *down) narrow(ctx context.Context) (*Sizes, error) {
	d.t.progress("down: %d bytes pass, %d do not", d.lo, d.hi)
	sizes, last := d.next(), d.done() || d.hurry(ctx)
	switch {
	case last:
		sizes = []int{d.lo, d.hi, d.hi} // where the first fails, the far end is slow
	case d.lo < 1280 && d.hi > 1280:
		sizes = append([]int{1280}, (&search{1280, d.hi}).next()...)
	}
	passes, fails, err := d.round(ctx, sizes, last)
	switch {
	case err != nil:
		return nil, err
	case last && passes == d.top:
		return &Sizes{Passes: d.top}, nil
	case last && passes == d.hi: // the earlier loss was chance
		d.search = search{passes, d.top}
		return nil, nil
	}
	d.slow = last && passes < d.lo && fails != 0
	switch {
	case d.slow:
		return nil, nil
	case passes <= d.lo && fails == 0: // it sends no such sizes
		return d.tryHi(ctx)
	}
	d.tried(passes, fails)
	if fails != 0 && passes != 0 {
		d.agree++
	}
	if d.agree >= 2 && d.inverted == 0 {
		d.t.narrow(false, d.lo, d.hi)
	}
	if last {
		return d.result()
	}
	return nil, nil
}

// tryHi tries the smallest size that has failed again: that may have been chance. It returns the
// result if there is one.
func (d *down) tryHi(ctx context.Context) (*Sizes, error) {
	a, err := d.try(ctx, d.hi, true)
	switch {
	case err != nil:
		return nil, err
	case a.limit != 0:
		return &Sizes{Passes: a.limit}, nil
	case a.passes && d.hi == d.top:
		return &Sizes{Passes: d.top}, nil
	case a.passes:
		d.search = search{d.hi, d.top}
		return nil, nil
	case !a.stalls:
		return &Sizes{Passes: d.lo}, nil
	}
	return d.result()
}

// result returns the sizes that the search has come to.
func (d *down) result() (*Sizes, error) {
	switch {
	case d.inverted >= mostDisagree:
		return nil, errDisagree
	case d.slow:
		return nil, errors.New("the far end answers too slowly, in all sizes")
	}
	return &Sizes{d.lo, &d.hi, true}, nil
}

// answer is what the far end did with a size.
type answer struct {
	passes bool // a packet of the size came
	stalls bool // nothing came, or a part, and the answer is incomplete
	limit  int  // it sends no larger packets than this, as many come; 0 = unknown
}

// patience is the time of one retransmission by the far end, or of two for the last word, and twice
// the time in which it has answered. One is enough as most answers have several full segments.
func (d *down) patience(last bool) time.Duration {
	rtt := d.t.roundTrip()
	transmission := rto(rtt) + rtt + rtt/2 + 100*time.Millisecond + 2*d.t.ownTime()
	if last { // or the server's own time, where that is uneven
		transmission = max(transmission+2*rto(rtt), lastWord)
	}
	return transmission
}

// lastWord is the least time for which a far end is given up.
const lastWord = 2500 * time.Millisecond

// hurry tells whether the time left is just enough for the last word.
func (d *down) hurry(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < d.patience(true)+d.patience(false)+2*d.t.roundTrip()
}

// try asks for segments of a size.
func (d *down) try(ctx context.Context, size int, last bool) (a answer, err error) {
	x, err := d.t.ask(ctx, d.control.question, size-d.headers, d.patience(last), func(x *exchange) bool { return x.full })
	if err != nil {
		return a, err
	}
	if x.full && x.mss+d.headers < size {
		return answer{limit: x.mss + d.headers}, nil
	}
	a.passes = x.full
	a.stalls = x.stalled && !x.full
	if d.control.question.protocol == Unknown && x.bytes >= d.control.bytes { // all that it has to say
		a.stalls = false
	}
	if !x.full && x.even && x.bytes >= 2*size { // loss may stall it, or make it slow
		a.limit, a.stalls = x.longest, false
	}
	return a, nil
}

// round tries sizes, each on a connection of its own at the same time. It returns the largest that
// passes and the smallest above it that does not, 0 for none.
func (d *down) round(ctx context.Context, sizes []int, last bool) (passes, fails int, err error) {
	answers, errs := make([]answer, len(sizes)), make([]error, len(sizes))
	var all sync.WaitGroup
	for i, size := range sizes {
		all.Go(func() { answers[i], errs[i] = d.try(ctx, size, last) })
	}
	all.Wait()
	failed := 0
	for i, size := range sizes {
		if answers[i].passes {
			d.inverted += failed
			failed, passes, fails = 0, size, 0
		} else if limit := answers[i].limit; limit > passes {
			passes, fails = limit, 0
		}
		if answers[i].stalls {
			failed++
			if fails == 0 {
				fails = size
			}
		}
		if errs[i] != nil {
			err = errs[i]
		}
	}
	if passes != 0 || fails != 0 {
		err = nil // one connection fewer
	}
	return passes, fails, err
}
