package owner

import (
	"time"

	"golang.org/x/time/rate"
)

// The bounds of the time that searches take from the router, in looks of one to three microseconds:
// for each connection a fraction of the time that it takes anyway, beyond that in the long run a
// twentieth of a processor for all users together, and half of that for one.
const (
	looksForFree = 32 // of each search

	looksPerSecond     = 20_000
	savedLooks         = 200_000 // at most
	userLooksPerSecond = looksPerSecond / 2
	savedUserLooks     = savedLooks / 2
	maxUsers           = 1024 // with a budget of their own; the rest share one
)

// budgets are the looks that users may still take.
type budgets struct {
	all, rest *rate.Limiter
	users     map[uint32]*rate.Limiter
}

func newBudgets() budgets {
	return budgets{
		all:   rate.NewLimiter(looksPerSecond, savedLooks),
		rest:  rate.NewLimiter(userLooksPerSecond, savedUserLooks),
		users: make(map[uint32]*rate.Limiter),
	}
}

// left reports whether the user has looks left, and all together have.
func (b *budgets) left(uid uint32, now time.Time) bool {
	return b.all.TokensAt(now) >= 1 && b.of(uid, now).TokensAt(now) >= 1
}

// search takes the looks of a search, but for those that each may have.
func (b *budgets) search(uid uint32, looks int, now time.Time) {
	if looks > looksForFree {
		b.spend(uid, looks-looksForFree, now)
	}
}

// spend takes looks, also those that were too many.
func (b *budgets) spend(uid uint32, looks int, now time.Time) {
	b.all.ReserveN(now, min(looks, savedLooks))
	b.of(uid, now).ReserveN(now, min(looks, savedUserLooks))
}

func (b *budgets) of(uid uint32, now time.Time) *rate.Limiter {
	if l := b.users[uid]; l != nil {
		return l
	}
	if len(b.users) >= maxUsers {
		for uid, l := range b.users { // those that have saved up everything need none
			if l.TokensAt(now) >= savedUserLooks {
				delete(b.users, uid)
			}
		}
	}
	if len(b.users) >= maxUsers {
		return b.rest
	}
	l := rate.NewLimiter(userLooksPerSecond, savedUserLooks)
	b.users[uid] = l
	return l
}
