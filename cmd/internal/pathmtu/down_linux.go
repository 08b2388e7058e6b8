package pathmtu

import (
	"context"
	"sync"
	"time"
)

// down is the search for the largest packet that passes from the far end.
type down struct {
	t        *target
	control  controlled
	patience time.Duration // with a far end that says nothing
	headers  int
}

// measureDown has the far end send its answer in segments of an announced MSS, on a connection for
// each. control is the exchange with the smallest MSS.
func (t *target) measureDown(ctx context.Context, control controlled) (*Sizes, error) {
	if !control.full { // it has less to say than one segment
		return nil, nil
	}
	// An original and two retransmissions, and the time that the far end takes to answer.
	d := &down{t, control, 3*rto(control.rtt) + control.rtt + 150*time.Millisecond + 2*control.first, headers(t.address.Addr())}
	top := t.largestDown()
	full, err := d.try(ctx, top)
	if err != nil {
		return nil, err
	}
	switch {
	case full.passes:
		return &Sizes{Passes: top}, nil
	case full.limit != 0:
		return &Sizes{Passes: full.limit}, nil
	case !full.stalls:
		return nil, nil
	}
	s := search{t.floor(), top}
	for confirmed := false; !confirmed && ctx.Err() == nil; {
		t.progress("down: %d bytes pass, %d do not", s.lo, s.hi)
		sizes, again := s.next(), false
		switch {
		case s.hi == top && s.lo < 1280 && top > 1280:
			sizes = []int{1280, 1400, 1452}
		case s.done():
			sizes, again = []int{s.hi}, true
		}
		passes, fails, err := d.round(ctx, sizes)
		if err != nil {
			return nil, err
		}
		if again && passes == top {
			return &Sizes{Passes: top}, nil
		}
		if again && passes == s.hi { // the earlier loss was chance
			s = search{passes, top}
			continue
		}
		if passes == 0 && fails == 0 {
			break
		}
		s.tried(passes, fails)
		confirmed = again
	}
	return &Sizes{s.lo, &s.hi, true}, nil
}

// answer is what the far end did with a size.
type answer struct {
	passes bool // a packet of the size came
	stalls bool // nothing came, or a part, and the answer is incomplete
	limit  int  // it sends no larger packets than this, as many come; 0 = unknown
}

func (d *down) try(ctx context.Context, size int) (a answer, err error) {
	x, err := d.t.ask(ctx, d.control.question, size-d.headers, d.patience, func(x *exchange) bool { return x.full })
	if err != nil {
		return a, err
	}
	a.passes = x.full
	a.stalls = x.stalled && !x.full
	if d.control.question.protocol == Unknown && x.bytes >= d.control.bytes { // all that it has to say
		a.stalls = false
	}
	if x.ended && !x.full && x.even && x.bytes >= 2*size {
		a.limit = x.longest
	}
	return a, nil
}

// round tries sizes, each on a connection of its own at the same time. It returns the largest that
// passes and the smallest above it that does not, 0 for none.
func (d *down) round(ctx context.Context, sizes []int) (passes, fails int, err error) {
	answers, errs := make([]answer, len(sizes)), make([]error, len(sizes))
	var all sync.WaitGroup
	for i, size := range sizes {
		all.Go(func() { answers[i], errs[i] = d.try(ctx, size) })
	}
	all.Wait()
	for i, size := range sizes {
		if answers[i].passes {
			passes, fails = size, 0
		}
		if answers[i].stalls && fails == 0 {
			fails = size
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
