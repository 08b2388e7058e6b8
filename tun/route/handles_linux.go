package route

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// handles are the ways by which the host is changed, in one network namespace.
type handles struct {
	*netlink.Handle
	tables *nft.Kernel       // nil before the first use
	texts  map[string]string // of the tables that were made
}

// openHandles opens them in the calling thread's network namespace.
func openHandles() (*handles, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &handles{Handle: h, texts: make(map[string]string)}, nil
}

// openTables opens nftables, too.
func (k *handles) openTables() (err error) {
	if k.tables == nil {
		k.tables, err = nft.Open()
	}
	return err
}

func (k *handles) close() {
	k.Handle.Close()
	if k.tables != nil {
		_ = k.tables.Close() // nothing is lost with it
	}
}

// ConnTrack reports whether the calling thread's network namespace has what [Config] needs without
// ByRules: nftables with connection tracking and its labels.
func ConnTrack() error {
	k, err := nft.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	c := Config{Name: "syntap", KeepInbound: true, Mark: 1, Enforce: EnforceReject, Underlay: Underlay{Enter: 2}}
	return k.Probe(steering(c))
}

// tableStep makes the nftables table.
func tableStep(c Config) step {
	name := c.tableName()
	t := steering(c)
	text := t.Text()
	return step{
		id:      "nft table inet " + name,
		command: "nft -f - <<'END'\n" + text + "END",
		revert:  "nft delete table inet " + name,
		watched: true,
		apply: func(k *handles) error {
			if err := k.openTables(); err != nil {
				return err
			}
			if k.texts[name] == text {
				if intact, err := k.tables.Intact(name); err != nil || intact {
					return orExists(err)
				}
			}
			if err := k.tables.Replace(t); err != nil {
				return err
			}
			k.texts[name] = text
			return nil
		},
		undo: func(k *handles) error {
			if err := k.openTables(); err != nil {
				return err
			}
			delete(k.texts, name)
			return k.tables.Delete(name)
		},
	}
}

func orExists(err error) error {
	if err == nil {
		return unix.EEXIST
	}
	return err
}
