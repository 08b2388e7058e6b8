package route

import "os"

// networkManagerDNS is the file by which NetworkManager knows the dnsmasq that it has started
// (dns=dnsmasq), which binds the socket of each query to an uplink.
const networkManagerDNS = "/run/NetworkManager/dnsmasq.pid"

// queryNotices report a resolver of this host that asks the host's nameservers past the TUN: see
// linkRules. Any other one the table counts when it asks.
func queryNotices(c Config) []Notice {
	if _, err := os.Stat(networkManagerDNS); err != nil || len(c.resolvers()) == 0 {
		return nil
	}
	return []Notice{{
		Text: "NetworkManager's dnsmasq binds its sockets to the uplink: its DNS queries go past the TUN, unrecorded",
		Hint: QueryHint(),
	}}
}

// QueryHint returns what has the host's programs ask its nameservers through the TUN.
func QueryHint() string {
	if _, err := os.Stat(networkManagerDNS); err == nil {
		return "{ echo [main]; echo dns=default; } >/etc/NetworkManager/conf.d/zz-syntap.conf && " +
			"systemctl reload NetworkManager"
	}
	return "have the program ask by the routes of the host: dnsmasq with server=ADDRESS, without @INTERFACE"
}
