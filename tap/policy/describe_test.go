package policy_test

import (
	"fmt"
	"testing"

	"syntap/tap/policy"
	"syntap/tun/packet"
)

func TestDescriptions(t *testing.T) {
	t.Parallel()
	web := policy.Match{
		Src:       prefixes("192.0.2.0/24"),
		Dst:       prefixes("198.51.100.0/24", "2001:db8::/32"),
		Ports:     []packet.PortRange{{First: 443, Last: 443}, {First: 8000, Last: 8999}},
		Direction: packet.Outbound,
	}
	tests := []struct {
		rule fmt.Stringer
		want string
	}{
		{policy.MSSRule{Clamp: policy.ClampAuto}, "SYN and SYN-ACK: MSS at most what is found to pass"},
		{policy.MSSRule{Clamp: policy.ClampPMTU}, "SYN and SYN-ACK: MSS at most path MTU - 40 (IPv4) or - 60 (IPv6)"},
		{policy.MSSRule{Match: web, Clamp: 1360}, "SYN, client in 192.0.2.0/24, server in 198.51.100.0/24 or 2001:db8::/32, server port 443 or 8000-8999: MSS at most 1360"},
		{
			policy.MSSRule{Match: policy.Match{Family: 6, Direction: packet.Inbound}, Clamp: 1220, Add: true, Malformed: policy.Drop},
			"SYN-ACK, IPv6: MSS at most 1220, added where missing (at most 536 for IPv4, 1220 for IPv6), dropped with malformed options",
		},
		{policy.MSSRule{Match: policy.Match{Direction: packet.Both}, Add: true}, "SYN and SYN-ACK: MSS as it is"},
		{policy.DFRule{}, "packets, IPv4: DF as it is"},
		{policy.DFRule{Match: policy.Match{Direction: packet.Inbound}, Policy: packet.SetDF}, "inbound packets, IPv4: DF set"},
		{policy.DFRule{Match: policy.Match{Direction: packet.Outbound}, Policy: packet.ClearDF}, "outbound packets, IPv4: DF cleared, a zero identification made random"},
		{policy.DFRule{Match: policy.Match{Src: web.Src}, Policy: packet.EnforceDF}, "packets, IPv4, client in 192.0.2.0/24: DF set, fragments of the client refused"},
	}
	for _, tt := range tests {
		if got := tt.rule.String(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
