package pathmtu

import (
	"context"
	"errors"
	"sync"
	"time"
)

// controlled is an exchange with the smallest MSS, which passes where larger segments do not. It
// tells the protocol, and the time that the far end takes to answer.
type controlled struct {
	exchange
	question question // that was answered
}

// detect asks in one protocol after the other until one is answered. Where none is, the far end's
// protocol is unknown and its answer empty.
func (t *target) detect(ctx context.Context) (controlled, error) {
	guessed := guesses(t.address.Port())
	first, second := question{protocol: Unknown}, question{guessed[0], true}
	if usual(t.address.Port()) { // its clients speak first
		first, second = second, first
	}
	for _, round := range [][]question{{first}, {second, {guessed[1], true}}} {
		found, err := t.askAll(ctx, round)
		if found != nil {
			return *found, nil
		}
		if err != nil {
			return controlled{}, err
		}
	}
	t.protocol = Unknown
	return controlled{question: question{protocol: Unknown}}, nil
}

// askAll asks some questions at the same time and returns the first that was answered; nil = none.
func (t *target) askAll(ctx context.Context, questions []question) (*controlled, error) {
	exchanges, errs := make([]exchange, len(questions)), make([]error, len(questions))
	var all sync.WaitGroup
	for i, q := range questions {
		all.Go(func() {
			patience := time.Second
			if q.protocol == Unknown { // those that speak first do so at once
				patience = 400 * time.Millisecond
			}
			exchanges[i], errs[i] = t.ask(ctx, q, t.floor()-headers(t.address.Addr()), patience+2*t.roundTrip(),
				func(x *exchange) bool { return x.spoken && x.web && x.full })
		})
	}
	all.Wait()
	for i, q := range questions {
		x := exchanges[i]
		switch {
		case q.protocol == Unknown && x.spoken:
			q.protocol = SSH
		case q.protocol == Unknown && x.bytes > 0:
		case !x.spoken:
			continue
		}
		q.web = x.web
		t.protocol = q.protocol
		return &controlled{x, q}, nil
	}
	return nil, errors.Join(errs...)
}
