package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/hint"
	"syntap/tap/tcpdump"
)

// The parse functions of this package read one value. Their errors name the fault of the text,
// without key and place, and carry a hint where there is a remedy.

// remedy returns an error with a hint.
func remedy(hintText, format string, args ...any) error {
	return hint.Usage(fmt.Errorf(format, args...), hintText)
}

// quote quotes the beginning of a value for an error.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", quote(s))
}

// integer returns a function that reads a whole number from low to high.
func integer(low, high int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return 0, fmt.Errorf("%s is not in %d-%d", quote(s), low, high)
		case err != nil:
			return 0, fmt.Errorf("%s is not a whole number", quote(s))
		case n < low || n > high:
			return 0, fmt.Errorf("%d is not in %d-%d", n, low, high)
		}
		return n, nil
	}
}

// oneOf returns a function that reads the word of one of the given values.
func oneOf[T any](values ...T) func(string) (T, error) {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return func(s string) (v T, err error) {
		if i := slices.Index(words, s); i >= 0 {
			return values[i], nil
		}
		return v, fmt.Errorf("%s is not one of %s", quote(s), join(values))
	}
}

// join lists words for an error.
func join[T any](words []T) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, word)
	}
	return b.String()
}

// optional lets a value be empty.
func optional(parse func(string) (string, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return parse(s)
	}
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, remedy("write a number with a unit: 500ms, 10s, 5m, 168h", "%s is not a duration", quote(s))
	case d <= 0:
		return 0, fmt.Errorf("%s is not positive", s)
	}
	return d, nil
}

// The largest values that Linux takes as TCP_KEEPIDLE and TCP_KEEPINTVL (MAX_TCP_KEEPIDLE, in
// seconds) and as TCP_USER_TIMEOUT.
const (
	maxKeepalive   = math.MaxInt16 * time.Second
	maxUserTimeout = math.MaxInt32 * time.Millisecond
)

func parseKeepalive(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second || d > maxKeepalive || d%time.Second != 0 {
		return 0, remedy("write it like 60s, 5m or 2h", "%s is not a duration of whole seconds from 1s to %s", quote(s), maxKeepalive)
	}
	return d, nil
}

func parseUserTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxUserTimeout || d%time.Millisecond != 0 {
		return 0, remedy("write it like 500ms, 30s or 5m; 0s leaves it to the kernel",
			"%s is not a duration of whole milliseconds", quote(s))
	}
	return d, nil
}

// maxBusyPoll is far more than waking up takes.
const maxBusyPoll = time.Millisecond

func parseBusyPoll(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxBusyPoll {
		return 0, remedy("write 100us, or 0s to spare the processor", "%s is not a duration from 0s to %s", quote(s), maxBusyPoll)
	}
	return d, nil
}

func parseInterface(s string) (string, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9_.-]{1,15}$`).MatchString(s) {
		return "", remedy("use 1 to 15 of the characters A-Z a-z 0-9 _ . -", "%s is no interface name", quote(s))
	}
	// The kernel keeps these names for files and directories of /proc/sys/net.
	if slices.Contains([]string{".", "..", "all", "default"}, s) {
		return "", fmt.Errorf("%s is reserved by the kernel", quote(s))
	}
	return s, nil
}

// parseTable reads the number of a routing table that is free for us.
func parseTable(s string) (int, error) {
	n, err := integer(1, math.MaxInt32)(s)
	if slices.Contains([]int{253, 254, 255}, n) {
		return 0, remedy("choose a number of no other use, such as 5359", "%d is a table of the kernel (default, main, local)", n)
	}
	return n, err
}

func parseFamily(s string) (int, error) {
	if s != "4" && s != "6" {
		return 0, fmt.Errorf("%s is neither 4 nor 6", quote(s))
	}
	return strconv.Atoi(s)
}

func parsePath(s string) (string, error) {
	switch {
	case s == "":
		return "", remedy(`write "-" for standard output`, "is empty")
	case strings.ContainsRune(s, 0):
		return "", fmt.Errorf("%s contains a zero byte", quote(s))
	}
	return s, nil
}

// parseAnchor reads where a copy of a chain's head goes.
func parseAnchor(s string) (string, error) {
	if s == "-" {
		return "", remedy("write journald, fleet, or the path of a file elsewhere", "standard output keeps nothing")
	}
	return parsePath(s)
}

func parseTimestamp(s string) (tcpdump.Timestamp, error) {
	var t tcpdump.Timestamp
	if t.UnmarshalText([]byte(s)) != nil {
		return 0, fmt.Errorf("%s is not one of none, time, epoch, delta, date, since", quote(s))
	}
	return t, nil
}

// parseListen reads an address to listen on: a literal address with a port, or a Unix socket.
func parseListen(s string) (string, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && strings.HasPrefix(path, "/") {
		return s, nil
	}
	if addr, err := netip.ParseAddrPort(s); err != nil || addr.Port() == 0 {
		return "", remedy("write 127.0.0.1:9153, [::1]:9153 or unix:/run/syntap/http.sock", "%s is no address to listen on", quote(s))
	}
	return s, nil
}
