package packet

import (
	"fmt"
	"strconv"
)

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

// Contains reports whether all ports of o are in r.
func (r PortRange) Contains(o PortRange) bool { return r.First <= o.First && o.Last <= r.Last }

// String returns the range as it is written in a config: "443" or "8000-8999".
func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// MarshalYAML returns the range as it is written in a config.
func (r PortRange) MarshalYAML() (any, error) {
	if r.First == r.Last {
		return r.First, nil
	}
	return r.String(), nil
}
