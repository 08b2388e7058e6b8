package route

import (
	"fmt"
	"os"
	"strings"
)

// Resolvers of the host that bind the socket of each query to an uplink, by the files of
// NetworkManager (dns=dnsmasq) and of ConnMan.
const (
	networkManagerDNS = "/run/NetworkManager/dnsmasq.pid"
	connManDNS        = "/run/connman/resolv.conf" // has a loopback address while its proxy serves
)

// queryNotices report a resolver of this host whose queries do not enter the TUN. linkRules accept
// those to nameservers that the host's files name; ConnMan's do not.
func queryNotices(c Config) []Notice {
	if c.ByRules || c.Enforce == EnforceOff {
		return nil
	}
	const text = "%s binds its sockets to the uplink: its DNS queries go past the TUN, unrecorded"
	switch {
	case byNetworkManager():
		return []Notice{{Text: fmt.Sprintf(text, "NetworkManager's dnsmasq"), Hint: QueryHint()}}
	case byConnMan() && c.Enforce == EnforceReject:
		return []Notice{{
			Text: "ConnMan's DNS proxy binds its sockets to the uplink: its queries are refused (route.enforce)",
			Hint: QueryHint(),
		}}
	case byConnMan():
		return []Notice{{Text: fmt.Sprintf(text, "ConnMan's DNS proxy"), Hint: QueryHint()}}
	}
	return nil
}

func byNetworkManager() bool {
	_, err := os.Stat(networkManagerDNS)
	return err == nil
}

func byConnMan() bool {
	text, _ := os.ReadFile(connManDNS) // none without ConnMan
	return strings.Contains(string(text), "nameserver 127.0.0.1\n")
}

// QueryHint returns what has the host's programs ask its nameservers through the TUN.
func QueryHint() string {
	switch {
	case byNetworkManager():
		return "{ echo [main]; echo dns=default; } >/etc/NetworkManager/conf.d/zz-syntap.conf && " +
			"systemctl reload NetworkManager"
	case byConnMan():
		const dir = "/etc/systemd/system/connman.service.d"
		return "mkdir -p " + dir + " && { echo [Service]; echo ExecStart=; " +
			"echo ExecStart=/usr/sbin/connmand -n --nodnsproxy; } >" + dir + "/syntap.conf && " +
			"systemctl daemon-reload && systemctl restart connman"
	}
	return "have the program ask by the routes of the host: dnsmasq with server=ADDRESS, without @INTERFACE"
}
