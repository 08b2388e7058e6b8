package route

import "fmt"

// Plan returns the shell equivalents of [syntap/tun.Open], with this MTU in bytes, and of
// Configure, with comments that tell their purpose. It changes nothing.
func Plan(c Config, mtu, queues int) ([]string, error) {
	mode := "tun vnet_hdr"
	if queues > 1 {
		mode += " multi_queue"
	}
	if !hasIPv6() {
		c.Addresses, c.Include = only4(c.Addresses), only4(c.Include)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("route into %s: %w", c.Name, err)
	}
	commands := []string{
		"# the interface whose packets the program reads",
		fmt.Sprintf("ip tuntap add dev %s mode %s", c.Name, mode),
		fmt.Sprintf("ip link set dev %s mtu %d", c.Name, mtu),
	}
	if c.hasRules() {
		k, err := openHandles()
		if err != nil {
			return nil, err
		}
		defer k.close()
		if c.Underlay, _, err = survey(k, c); err != nil {
			return nil, err
		}
		c.tracked = trackedNow()
	}
	if c.hasRules() && c.Underlay.Pings == "" && readPingGroups() == noGroup {
		commands = append(commands, "# lets the router's group ping, where run lacks CAP_NET_RAW, as the service does",
			"# "+pingStep("GROUP\tGROUP").command)
	}
	for _, s := range c.steps() {
		if s.why != "" {
			commands = append(commands, "# "+s.why)
		}
		commands = append(commands, s.command)
	}
	return commands, nil
}
