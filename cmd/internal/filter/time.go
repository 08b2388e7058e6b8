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
// or both; a day such as "yesterday 14:00"; or how long it is ago, such as "1d12h".
func ParseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if s == "now" {
		return now, nil
	}
	if t, ok := dayTime(s, now); ok {
		return t, nil
	}
	if t, ok := ago(s, now); ok {
		return t, nil
	}
	return time.Time{}, hint.Usage(fmt.Errorf("%q is no time", s), timeForms)
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

var agoPattern = regexp.MustCompile(`^-?(?:(\d{1,6})w)?(?:(\d{1,6})d)?(.*)$`)

// ago reads a duration before now. A day goes back to the same time of day.
func ago(s string, now time.Time) (time.Time, bool) {
	match := agoPattern.FindStringSubmatch(s)
	if match == nil || s == "" || s == "-" {
		return time.Time{}, false
	}
	weeks, _ := strconv.Atoi("0" + match[1])
	days, _ := strconv.Atoi("0" + match[2])
	var rest time.Duration
	if match[3] != "" {
		var err error
		if rest, err = time.ParseDuration(match[3]); err != nil || rest < 0 {
			return time.Time{}, false
		}
	}
	return now.AddDate(0, 0, -7*weeks-days).Add(-rest), true
}
