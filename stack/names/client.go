package names

import "net/netip"

// Client is a client that asks for names and connects to addresses.
type Client struct {
	kind kind
	uid  uint32 // of a neighbor, the link
	addr netip.Addr
}

// kind is 32 bits wide so that a Client has no padding, and hashes in one go.
type kind uint32

const (
	machine kind = iota
	neighbor
	user
	unknownUser
	allUsers
)

// Machine returns the machine behind this host with an address.
func Machine(a netip.Addr) Client { return Client{kind: machine, addr: a} }

// Neighbor returns the machine with a link-layer address on a link: all addresses of the machine,
// of both families, are one client.
func Neighbor(link int, address []byte) Client {
	var b [16]byte
	copy(b[:], address) // of Ethernet 6 bytes; of InfiniBand 20, of which the first are no identity
	if len(address) > len(b) {
		copy(b[:], address[len(address)-len(b):])
	}
	return Client{kind: neighbor, uid: uint32(link), addr: netip.AddrFrom16(b)}
}

// User returns the programs of a user of this host.
func User(uid uint32) Client { return Client{kind: user, uid: uid} }

// UnknownUser returns the programs of this host whose user is not known.
func UnknownUser() Client { return Client{kind: unknownUser} }

// AllUsers returns all programs of this host: the clients of a resolver of this host.
func AllUsers() Client { return Client{kind: allUsers} }

// source returns the client to which a bound applies: a /64 for IPv6, because a machine can use a
// whole /64.
func (c Client) source() Client {
	if c.kind == machine && c.addr.Is6() {
		if p, err := c.addr.Prefix(64); err == nil {
			c.addr = p.Addr()
		}
	}
	return c
}
