package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/hint"
)

const timeForms = "write it like 2026-11-23T07:50:00Z, 2026-11-23 07:50, 2026-11-23, 14:00, " +
	"today 14:00, yesterday, 2h or 2d"

// ParseTime reads a time, in the zone of now where it has none of its own: a date, a time of day,
// or both; a day such as "yesterday 14:00"; how long it is ago, such as "1d12h"; or seconds since
// 1970, such as "@1795700000". Of a time that clocks show twice, as they are set back, it is the
// first.
func ParseTime(s string, now time.Time) (time.Time, error) {
	first, _, err := parseTimes(s, now)
	return first, err
}

// parseTimes is ParseTime, and returns the last time that is meant, too.
func parseTimes(s string, now time.Time) (first, last time.Time, err error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, t, nil
		}
	}
	for _, layout := range []string{
		"2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			first, last = twice(t)
			return first, last, nil
		}
	}
	if s == "now" {
		return now, now, nil
	}
	if t, ok := dayTime(s, now); ok {
		first, last = twice(t)
		return first, last, nil
	}
	if t, ok := ago(s, now); ok {
		return t, t, nil
	}
	if seconds, ok := strings.CutPrefix(s, "@"); ok {
		if n, err := strconv.ParseInt(seconds, 10, 40); err == nil {
			return time.Unix(n, 0), time.Unix(n, 0), nil
		}
	}
	return first, last, hint.Usage(fmt.Errorf("%q is no time", s), timeForms)
}

// twice returns the first and the last time at which a clock shows the same as at t.
func twice(t time.Time) (first, last time.Time) {
	const day = 24 * time.Hour
	first, last = t, t
	_, offset := t.Zone()
	for _, near := range []time.Duration{-day, day} {
		_, other := t.Add(near).Zone()
		u := t.Add(time.Duration(offset-other) * time.Second)
		if _, at := u.Zone(); at != other { // the clock shows something else
			continue
		}
		if u.Before(first) {
			first = u
		}
		if u.After(last) {
			last = u
		}
	}
	return first, last
}

// dayTime reads "today" or "yesterday", a time of day, or both.
func dayTime(s string, now time.Time) (time.Time, bool) {
	day, clock, _ := strings.Cut(s, " ")
	back := 0
	switch day {
	case "today":
	case "yesterday":
		back = 1
	default:
		clock = s // of today
		if clock == "" {
			return time.Time{}, false
		}
	}
	var at time.Time // midnight
	if clock != "" {
		var err error
		if at, err = time.Parse("15:04:05", clock); err != nil {
			if at, err = time.Parse("15:04", clock); err != nil {
				return time.Time{}, false
			}
		}
	}
	return time.Date(now.Year(), now.Month(), now.Day()-back,
		at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), now.Location()), true
}

var durationPattern = regexp.MustCompile(`^-?(?:(\d{1,6})w)?(?:(\d{1,6})d)?(.*)$`)

const day = 24 * time.Hour

// ago reads a duration before now. A day goes back to the same time of day.
func ago(s string, now time.Time) (time.Time, bool) {
	days, rest, ok := duration(s)
	return now.AddDate(0, 0, -days).Add(-rest), ok
}

// duration reads weeks and days, and what time.ParseDuration does.
func duration(s string) (days int, rest time.Duration, ok bool) {
	match := durationPattern.FindStringSubmatch(s)
	if match == nil || s == "" || s == "-" {
		return 0, 0, false
	}
	weeks, _ := strconv.Atoi("0" + match[1])
	days, _ = strconv.Atoi("0" + match[2])
	if match[3] != "" {
		var err error
		if rest, err = time.ParseDuration(match[3]); err != nil || rest < 0 {
			return 0, 0, false
		}
	}
	return 7*weeks + days, rest, true
}
