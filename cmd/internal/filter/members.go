package filter

import (
	"net/netip"
	"strconv"
	"strings"

	"syntap/cmd/internal/format"
)

// first returns the record that has the ends and the owner of a connection: its opening, or without
// one its flow.
func first(c *format.Connection) *format.Record {
	if c.Opening != nil {
		return c.Opening
	}
	return end(c)
}

// nothing stands for a record that is not there.
var nothing format.Record

// end returns the flow of a connection, or a record without members.
func end(c *format.Connection) *format.Record {
	if c.End != nil {
		return c.End
	}
	return &nothing
}

// user returns the name of the client's user; of one without a name, the number.
func user(c *format.Connection) string {
	o := &first(c).Owner
	if o.User == "" && o.Known {
		return strconv.FormatUint(uint64(o.UID), 10)
	}
	return o.User
}

func client(c *format.Connection) netip.AddrPort { return first(c).Client }
func server(c *format.Connection) netip.AddrPort { return first(c).Server }

// Bytes returns the payload of both directions.
func Bytes(c *format.Connection) uint64 {
	return end(c).Bytes.Outbound + end(c).Bytes.Inbound
}

// Name returns the name by which the client knew the server: by DNS, else by SNI or HTTP Host, or
// the name that a DNS query asks for.
func Name(c *format.Connection) string {
	for _, name := range names(c) {
		if name != "" {
			return name
		}
	}
	return ""
}

// names returns all names of a connection; some may be empty.
func names(c *format.Connection) []string {
	r, e := first(c), end(c)
	all := []string{r.Name, sni(c), hostName(e.HTTPHost)}
	if len(r.Names) > 0 {
		all = append(all, r.Names...)
	}
	return append(all, queries(c)...)
}

// hostName returns the Host of a request if it is a name, and not an address.
func hostName(host string) string {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	return host
}

func sni(c *format.Connection) string {
	if s := end(c).SNI; s != "" {
		return s
	}
	return first(c).SNI
}

// queries returns the names that DNS queries ask for.
func queries(c *format.Connection) (names []string) {
	r := first(c)
	if len(r.Queries) == 0 {
		r = end(c)
	}
	for _, q := range r.Queries {
		names = append(names, q.Name)
	}
	return names
}

// query returns the name that a DNS query asks for.
func query(c *format.Connection) string {
	if all := queries(c); len(all) > 0 {
		return all[0]
	}
	return ""
}

// state returns whether a connection goes on.
func state(c *format.Connection) string {
	switch c.State {
	case format.Alive:
		return "open"
	case format.EndMissing:
		return "unknown"
	default:
		return "ended"
	}
}

// ends are ends of a connection.
type ends []netip.AddrPort
