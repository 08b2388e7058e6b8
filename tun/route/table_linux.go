package route

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// tableStep makes the nftables table.
func tableStep(c Config) step {
	name := c.tableName()
	t := steeringTable(c)
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
				if intact, err := k.tables.Intact(name); err != nil {
					return err
				} else if intact {
					return unix.EEXIST
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
