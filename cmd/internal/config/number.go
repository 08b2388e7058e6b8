package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/route"
)

// Mark is a firewall mark, written in hexadecimal.
type Mark uint32

func parseMark(s string) (Mark, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil || n == 0 {
		return 0, remedy("write it like 0x5359", "%s is not a number of 32 bits other than 0", quote(s))
	}
	return Mark(n), nil
}

// MarshalYAML returns the mark as it is written in a config.
func (m Mark) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprintf("%#x", uint32(m))}, nil
}

// Queues is the number of queues of the TUN, each with a part of the router to itself. 0, written
// as auto, leaves it to the number of processors.
type Queues int

const autoQueues = "auto"

func parseQueues(s string) (Queues, error) {
	if s == autoQueues {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > tun.MaxQueues {
		return 0, fmt.Errorf("%s is neither auto nor a number from 1 to %d", quote(s), tun.MaxQueues)
	}
	return Queues(n), nil
}

// MarshalYAML returns the number as it is written in a config.
func (q Queues) MarshalYAML() (any, error) {
	if q == 0 {
		return autoQueues, nil
	}
	return int(q), nil
}

// For returns the number for a router that uses so many processors.
func (q Queues) For(processors int) int {
	if q == 0 {
		return max(1, min(processors, tun.MaxQueues))
	}
	return int(q)
}

// Size is a number of bytes.
type Size int64

// Units of a [Size].
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

func parseSize(s string) (Size, error) {
	unit := Size(1)
	digits := s
	for suffix, size := range map[string]Size{"KiB": KiB, "MiB": MiB, "GiB": GiB} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			digits, unit = rest, size
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return 0, remedy("write it like 500KiB, 100MiB or 2GiB", "%s is not a size", quote(s))
	}
	return Size(n) * unit, nil
}

// String returns the size as it is written in a config.
func (s Size) String() string {
	switch {
	case s == 0:
		return "0"
	case s%GiB == 0:
		return fmt.Sprintf("%dGiB", s/GiB)
	case s%MiB == 0:
		return fmt.Sprintf("%dMiB", s/MiB)
	case s%KiB == 0:
		return fmt.Sprintf("%dKiB", s/KiB)
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText returns the size as it is written in a config.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func parsePorts(s string) (packet.PortRange, error) {
	first, last, err := parseRange(s, 1, math.MaxUint16, "write it like 443 or 8000-8999")
	return packet.PortRange{First: uint16(first), Last: uint16(last)}, err
}

func parseUIDs(s string) (route.UIDRange, error) {
	first, last, err := parseRange(s, 0, math.MaxUint32-1, `write the number that "id -u NAME" prints, or 1000-1999`)
	return route.UIDRange{First: first, Last: last}, err
}

// parseRange reads a number from low to high or a range of them, such as 8000-8999. example is a
// hint.
func parseRange(s string, low, high uint32, example string) (first, last uint32, err error) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		to = from
	}
	a, errA := strconv.ParseUint(from, 10, 32)
	b, errB := strconv.ParseUint(to, 10, 32)
	first, last = uint32(a), uint32(b)
	switch {
	case errA != nil || errB != nil:
		return 0, 0, remedy(example, "%s is neither a number nor a range", quote(s))
	case first < low || last > high:
		return 0, 0, fmt.Errorf("%s is not within %d-%d", s, low, high)
	case first > last:
		return 0, 0, fmt.Errorf("%s ends before it begins", s)
	}
	return first, last, nil
}
