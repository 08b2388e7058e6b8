package filter

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/hint"
)

// The functions of this file make the parsers of keys from the member that a key asks for.

// oneOf is for members with a few values.
func oneOf(words []string, value func(*format.Connection) string) func(string) (test, error) {
	return func(s string) (test, error) {
		if !slices.Contains(words, s) {
			return nil, hint.Usage(fmt.Errorf("%q is unknown", s), "one of "+strings.Join(words, ", "))
		}
		return func(c *format.Connection) bool { return value(c) == s }, nil
	}
}

// within is for addresses.
func within(value func(*format.Connection) ends) func(string) (test, error) {
	return func(s string) (test, error) {
		prefix, err := ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		return func(c *format.Connection) bool {
			for _, end := range value(c) {
				if prefix.Contains(end.Addr()) {
					return true
				}
			}
			return false
		}, nil
	}
}

// inRange is for numbers up to most; the member may be absent.
func inRange(most uint64, noun string, value func(*format.Connection) (uint64, bool)) func(string) (test, error) {
	return func(s string) (test, error) {
		low, high, err := ParseRange(s)
		switch {
		case err != nil || low > most || high > most:
			if strings.Contains(s, "-") {
				return nil, fmt.Errorf("%q is no range of %ss", s, noun)
			}
			return nil, fmt.Errorf("%q is no %s", s, noun)
		case low > high:
			return nil, fmt.Errorf("%q ends before it begins", s)
		}
		return func(c *format.Connection) bool {
			n, ok := value(c)
			return ok && n >= low && n <= high
		}, nil
	}
}

// ParseRange reads a value of a key that takes numbers: one, or the first and the last of several.
func ParseRange(value string) (low, high uint64, err error) {
	from, to, isRange := strings.Cut(value, "-")
	if low, err = strconv.ParseUint(from, 10, 64); err != nil || !isRange {
		return low, low, err
	}
	high, err = strconv.ParseUint(to, 10, 64)
	return low, high, err
}

// nameOf is for names of DNS: "*.example.com" is each name below example.com, "*" any name.
func nameOf(values func(*format.Connection) []string) func(string) (test, error) {
	return func(s string) (test, error) {
		wanted := strings.ToLower(strings.TrimSuffix(s, "."))
		below, wild := strings.CutPrefix(wanted, "*")
		if strings.Contains(below, "*") || wild && below != "" && !strings.HasPrefix(below, ".") || wanted == "" {
			return nil, hint.Usage(fmt.Errorf("%q is no name", s), `"*." stands only at the beginning, as in *.example.com`)
		}
		return func(c *format.Connection) bool {
			return slices.ContainsFunc(values(c), func(name string) bool {
				switch {
				case name == "":
					return false
				case wild:
					return len(name) > len(below) && strings.HasSuffix(strings.ToLower(name), below)
				}
				return strings.EqualFold(name, wanted)
			})
		}, nil
	}
}

// like is for text, in which "*" stands for any text.
func like(value func(*format.Connection) string) func(string) (test, error) {
	return func(s string) (test, error) {
		parts := strings.Split(s, "*")
		return func(c *format.Connection) bool {
			text := value(c)
			return text != "" && matches(text, parts)
		}, nil
	}
}

// matches reports whether text has the parts in their order, the first at its beginning and the
// last at its end.
func matches(text string, parts []string) bool {
	last := len(parts) - 1
	if last == 0 {
		return text == parts[0]
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1:last] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[last])
}

// contains is for a word that may stand in any text of a connection, in capitals or not.
func contains(s string) test {
	wanted := strings.ToLower(s)
	return func(c *format.Connection) bool {
		r := first(c)
		o := &r.Owner
		for _, text := range append(names(c), o.Process, o.Exe, o.User, o.Unit, o.Container,
			r.Host, r.Rule, r.Reason, r.Client.String(), r.Server.String(), c.Outcome()) {
			if strings.Contains(strings.ToLower(text), wanted) {
				return true
			}
		}
		return false
	}
}

// amount is for sizes and durations. The member may be absent.
func amount(
	parse func(string) (int64, error), value func(*format.Connection) (int64, bool),
) func(string) (test, error) {
	return func(s string) (test, error) {
		low, high, err := bounds(s, parse)
		if err != nil {
			return nil, err
		}
		return func(c *format.Connection) bool {
			n, ok := value(c)
			return ok && n >= low && n <= high
		}, nil
	}
}

// bounds reads ">5", ">=5", "<5", "<=5" or "5-6" and returns the least and the greatest value.
func bounds(s string, parse func(string) (int64, error)) (low, high int64, err error) {
	low, high = 0, math.MaxInt64
	for _, operator := range []string{">=", "<=", ">", "<"} {
		text, ok := strings.CutPrefix(s, operator)
		if !ok {
			continue
		}
		n, err := parse(text)
		switch operator {
		case ">=":
			low = n
		case "<=":
			high = n
		case ">":
			low = n + 1
		case "<":
			high = n - 1
		}
		return low, high, err
	}
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		if _, err := parse(s); err != nil {
			return 0, 0, err
		}
		return 0, 0, hint.Usage(fmt.Errorf("%q has no bound", s), fmt.Sprintf("write it like >%s, <=%s or 0-%s", s, s, s))
	}
	low, errLow := parse(from)
	high, errHigh := parse(to)
	if err := errors.Join(errLow, errHigh); err == nil && low > high {
		return 0, 0, fmt.Errorf("%q ends before it begins", s)
	}
	if errLow != nil {
		return 0, 0, errLow
	}
	return low, high, errHigh
}

// units are those of sizes, in bytes.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"k", 1e3},
	{"K", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"B", 1},
	{"", 1},
}

func parseSize(s string) (int64, error) {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(s, unit.suffix)
		if !ok {
			continue
		}
		if n, err := strconv.ParseFloat(digits, 64); err == nil && n >= 0 && n*unit.bytes < 1<<62 {
			return int64(n * unit.bytes), nil
		}
		break
	}
	return 0, hint.Usage(fmt.Errorf("%q is no size", s), "write it like 500, 100KB or 1.5MiB")
}

func parseDuration(s string) (int64, error) {
	days, rest, ok := duration(s)
	if !ok || days > math.MaxInt64/int(2*day) || rest > math.MaxInt64/2 || strings.HasPrefix(s, "-") {
		return 0, hint.Usage(fmt.Errorf("%q is no duration", s), "write it like 50ms, 1.5s, 2h or 2d")
	}
	return int64(time.Duration(days)*day + rest), nil
}
