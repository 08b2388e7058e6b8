package filter

import (
	"time"

	"syntap/cmd/internal/format"
)

// Filter selects connections. The zero value selects all.
type Filter struct {
	Since, Until time.Time // of the beginning of a connection; zero = open

	clauses []clause
	not     []*Filter // none of them may match
}

// clause holds if one of its tests does, or if it is negated, if none does.
type clause struct {
	key     *key
	negated bool
	values  []string // as written
	tests   []test   // of them
}

// test judges one value of a key.
type test func(c *format.Connection) bool

// Match reports whether the filter selects a connection.
func (f *Filter) Match(c *format.Connection) bool {
	return f.times(c) && f.matchClauses(c, always)
}

// MatchMembers is Match without regard to Since and Until.
func (f *Filter) MatchMembers(c *format.Connection) bool { return f.matchClauses(c, always) }

// MayMatch is Match for an open connection: it returns false only if no later record can make it
// match.
func (f *Filter) MayMatch(c *format.Connection) bool {
	if c.State != format.Alive {
		return f.Match(c)
	}
	return f.times(c) && f.matchClauses(c, (*key).decided)
}

// All reports whether the filter selects all connections.
func (f *Filter) All() bool {
	return f.Since.IsZero() && f.Until.IsZero() && f.OnlyTimes()
}

// OnlyTimes reports whether the filter has bounds of time only.
func (f *Filter) OnlyTimes() bool { return len(f.clauses) == 0 && len(f.not) == 0 }

// NeedsFlow returns a key of the filter that only a flow can answer; "" if there is none.
func (f *Filter) NeedsFlow() string {
	for _, c := range f.clauses {
		if c.key.stage == ofFlow {
			return c.key.name
		}
	}
	for _, not := range f.not {
		if name := not.NeedsFlow(); name != "" {
			return name
		}
	}
	return ""
}

// And adds a filter that must match, too; nil adds nothing.
func (f *Filter) And(other *Filter) {
	if other == nil {
		return
	}
	f.clauses = append(f.clauses, other.clauses...)
	f.not = append(f.not, other.not...)
	f.narrow(other.Since, other.Until)
}

// narrow adds bounds of time; zero = none.
func (f *Filter) narrow(since, until time.Time) {
	if since.After(f.Since) {
		f.Since = since
	}
	if !until.IsZero() && (f.Until.IsZero() || until.Before(f.Until)) {
		f.Until = until
	}
}

// Not adds a filter that must not match; nil and one that selects all add nothing.
func (f *Filter) Not(other *Filter) {
	if other != nil && !other.All() {
		f.not = append(f.not, other)
	}
}

func always(*key, *format.Connection) bool { return true }

func (f *Filter) times(c *format.Connection) bool {
	if f.Since.IsZero() && f.Until.IsZero() {
		return true
	}
	start := c.Start()
	return !start.Before(f.Since) && (f.Until.IsZero() || start.Before(f.Until))
}

// matchClauses judges the clauses whose keys are decided, and takes the rest for matching.
func (f *Filter) matchClauses(c *format.Connection, decided func(*key, *format.Connection) bool) bool {
	for i := range f.clauses {
		if clause := &f.clauses[i]; decided(clause.key, c) && !clause.match(c) {
			return false
		}
	}
	for _, not := range f.not {
		if not.decided(c, decided) && not.Match(c) {
			return false
		}
	}
	return true
}

// decided reports whether all keys of the filter are decided.
func (f *Filter) decided(c *format.Connection, decided func(*key, *format.Connection) bool) bool {
	for i := range f.clauses {
		if !decided(f.clauses[i].key, c) {
			return false
		}
	}
	for _, not := range f.not {
		if !not.decided(c, decided) {
			return false
		}
	}
	return true
}

func (c *clause) match(connection *format.Connection) bool {
	for _, test := range c.tests {
		if test(connection) {
			return !c.negated
		}
	}
	return c.negated
}

// add adds tests to the clause of their key, or a clause.
func (f *Filter) add(k *key, negated bool, values []string, tests []test) {
	for i := range f.clauses {
		if c := &f.clauses[i]; !negated && !c.negated && c.key == k {
			c.values, c.tests = append(c.values, values...), append(c.tests, tests...)
			return
		}
	}
	f.clauses = append(f.clauses, clause{k, negated, values, tests})
}
