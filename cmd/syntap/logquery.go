package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/query"
)

// mistakes are the mistakes of a command line.
type mistakes struct{ errs hint.List }

// note keeps the mistakes of a flag.
func (m *mistakes) note(flag string, err error) {
	list, ok := err.(hint.List)
	if err != nil && !ok {
		list = hint.List{err}
	}
	for _, err := range list {
		m.errs = append(m.errs, hint.Usage(fmt.Errorf("--%s: %w", flag, err), hint.Of(err)))
	}
}

// query reads the flags; times are relative to now.
func (f *logFlags) query(now time.Time) (q query.Query, err error) {
	var m mistakes
	q.Format, q.Last = query.Format(f.format.value), f.last
	if f.json {
		q.Format = query.JSON
	}
	f.addFlags(&q.Filter, now, &m)
	for _, text := range f.filters {
		other, err := filter.Parse(text, now)
		m.note("filter", err)
		q.Filter.And(other)
	}
	for _, text := range f.not {
		other, err := filter.Parse(text, now)
		m.note("not", err)
		q.Filter.Not(other)
	}
	if f.newSince != "" {
		q.NewSince, err = filter.ParseTime(f.newSince, now)
		m.note("new-since", err)
	}
	if f.policy != "" {
		policy, err := config.LoadPolicy(f.policy)
		if err != nil {
			return q, err
		}
		rules := policy.Compile()
		if rules == nil {
			m.note("policy", fmt.Errorf("%s has no rules, and denies nothing by default", f.policy))
		} else {
			q.Only = query.Refused(rules)
		}
	}
	f.addTop(&q, &m)
	if f.last < 0 {
		m.note("lines", fmt.Errorf("%d is negative", f.last))
	}
	f.checkTogether(&q, &m)
	if m.errs != nil {
		return q, m.errs
	}
	return q, nil
}

// addFlags adds the flags that stand for keys.
func (f *logFlags) addFlags(to *filter.Filter, now time.Time, m *mistakes) {
	for _, flag := range filterFlags {
		for _, value := range *f.values[flag.flag] {
			m.note(flag.flag, to.Add(flag.key, flag.prefix+value, now))
		}
	}
}

func (f *logFlags) addTop(q *query.Query, m *mistakes) {
	for _, key := range f.top {
		if !slices.Contains(filter.GroupKeys(), key) {
			m.note("top", hint.Usage(fmt.Errorf("%q cannot be counted", key), "one of "+strings.Join(filter.GroupKeys(), ", ")))
		}
	}
	q.Top = f.top
	q.ByBytes = f.by.value == "bytes"
}

// checkTogether looks for flags that exclude each other.
func (f *logFlags) checkTogether(q *query.Query, m *mistakes) {
	const leave = "leave one of them out"
	counts := q.Format == query.Line || q.Format == query.JSON || q.Format == query.CSV ||
		q.Format == query.Modern || q.Format == query.Classic
	if f.json && f.format.given && f.format.value != string(query.JSON) {
		m.note("json", hint.Usage(fmt.Errorf("is not --format %s", f.format.value), leave))
	}
	switch {
	case f.top != nil && f.follow:
		m.note("top", hint.Usage(errors.New("counts what is there, and --follow has no end"), leave))
	case f.newSince != "" && f.follow:
		m.note("new-since", hint.Usage(errors.New("compares what is there, and --follow has no end"), leave))
	case f.top != nil && !counts:
		m.note("top", hint.Usage(fmt.Errorf("counts, which %s has no form for", q.Format), "use --format line, csv or json"))
	case f.top == nil && q.ByBytes:
		m.note("by", hint.Usage(errors.New("says what --top counts"), "add --top KEY"))
	}
	if since, until := q.Filter.Since, q.Filter.Until; !until.IsZero() && !since.Before(until) {
		m.note("until", hint.Usage(errors.New("is not later than the time of --since"),
			"--since 2h --until 1h is the hour before the last"))
	}
	if key := q.Filter.NeedsFlow(); key != "" && (q.Format == query.Modern || q.Format == query.Classic) && f.top == nil {
		m.note("format", hint.Usage(fmt.Errorf("%s prints handshakes, of which none has %s", q.Format, key),
			"use --format line, csv or json"))
	}
}
