package route

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// tableStep makes the nftables table.
func tableStep(c Config) step {
	name := c.tableName()
	text := steeringTable(c).Text()
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
				if intact, err := k.tables.Intact(name); err != nil {
					return err
				} else if intact {
					return unix.EEXIST
				}
			}
			if err := k.replaceTable(c); err != nil {
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

// replaceTable makes the table of a config. Before the first one it starts connection tracking and
// notes the open connections, in this order: one that begins meanwhile is tracked.
func (k *handles) replaceTable(c Config) error {
	if k.open != nil {
		c.open = *k.open
		return k.tables.Replace(steeringTable(c))
	}
	name := c.tableName()
	exists, err := k.tables.Exists(name) // that of a dead run, which has started it
	if err != nil {
		return err
	}
	if !exists {
		if err := k.tables.Replace(trackingTable(name)); err != nil {
			return err
		}
	}
	c.open = openFlows()
	if err := k.tables.Replace(steeringTable(c)); err != nil {
		if !exists {
			err = errors.Join(err, k.tables.Delete(name))
		}
		return err
	}
	k.open = &c.open
	return nil
}

// trackingTable returns a table that has connections tracked, and decides on none.
func trackingTable(name string) *nft.Table {
	return &nft.Table{Name: name, Chains: []nft.Chain{
		{Name: "tracking", Hook: filter("output", lastPriority), Rules: []nft.Rule{{nft.Established, nft.Accept}}},
	}}
}

// ConnTrack returns an error if the calling thread's network namespace lacks nftables with
// connection tracking and its labels, which a [Config] without ByRules needs.
func ConnTrack() error {
	k, err := nft.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Probe(steeringTable(Config{
		Name: "syntap", KeepInbound: true, Mark: 1, Enforce: EnforceReject,
		Underlay: Underlay{Enter: 2},
	}))
}

// localPorts returns the range from which the kernel chooses ports for clients
// (ip_local_port_range).
func localPorts() (first, last uint16) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	_, scanErr := fmt.Sscan(string(b), &first, &last)
	if err != nil || scanErr != nil || last < first {
		return 32768, 60999
	}
	return first, last
}
