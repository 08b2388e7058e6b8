package names

import "net/netip"

// Client is one that asks for names and connects to addresses.
type Client struct {
	kind kind
	uid  uint32
	addr netip.Addr
}

// kind is 32 bits wide so that a Client has no padding, and hashes in one go.
type kind uint32

const (
	machine kind = iota
	user
	unknownUser
	allUsers
)

// Machine returns the machine behind this host that has an address.
func Machine(a netip.Addr) Client { return Client{kind: machine, addr: a} }

// User returns the programs of a user of this host.
func User(uid uint32) Client { return Client{kind: user, uid: uid} }

// UnknownUser returns the programs of this host whose user is not known.
func UnknownUser() Client { return Client{kind: unknownUser} }

// AllUsers returns all programs of this host: those whom a resolver of this host serves.
func AllUsers() Client { return Client{kind: allUsers} }

// source returns the client that a bound holds for: a machine has a whole /64 of IPv6 for the
// asking.
func (c Client) source() Client {
	if c.kind == machine && c.addr.Is6() {
		if p, err := c.addr.Prefix(64); err == nil {
			c.addr = p.Addr()
		}
	}
	return c
}
