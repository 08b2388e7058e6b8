package top

import (
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

func TestLadder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, record string
		want         string
	}{
		{
			"established, with a rewrite",
			`{"outcome":"established","src":"192.0.2.1","sport":1051,"dst":"198.51.100.2","dport":80,"client_isn":4294967295,"server_isn":7,
			"client":{"win":65535,"mss":1460,"wscale":7,"sack_ok":true,"ts":5,"df":true,"ttl":64},"server":{"win":100,"mss":1360,"df":false,"ttl":63,"ecn":true},
			"synack_us":862,"ack_us":1041,"rewrites":[{"packet":"synack","what":"mss","from":"1460","to":"1360","rule":2}],
			"segments":[{"dir":"outbound","flags":"SEW","seq":4294967295,"win":65535},
			{"dir":"inbound","flags":"S.E","seq":7,"ack":0,"win":100},
			{"dir":"outbound","flags":".","seq":0,"ack":8,"win":512}]}`,
			`
│ SYN  seq x = 4294967295                                                          │
│ win 65535  MSS 1460  DF  window × 128  SACK  timestamps  TTL 64                  │
├──────────────────────────────────────────────────────────────────────────────────▶
│                                                                         + 862 µs │
│                                                  SYN-ACK  seq y = 7  ack x+1 = 0 │
│                             win 100  MSS 1460 → 1360, rule 2  no DF  ECN  TTL 63 │
◀──────────────────────────────────────────────────────────────────────────────────┤
│ + 1.04 ms                                                                        │
│ ACK  seq x+1 = 0  ack y+1 = 8                                                    │
│ win 512                                                                          │
├──────────────────────────────────────────────────────────────────────────────────▶
`,
		},
		{
			"refused, after a retransmission, over IPv6",
			`{"outcome":"refused","src":"2001:db8::1","sport":1051,"dst":"2001:db8::2","dport":80,"client_isn":10,
			"client":{"win":100,"ttl":64},"syn_retransmits":1,"rewrites":[],
			"segments":[{"dir":"outbound","flags":"S","seq":10,"win":100},{"dir":"outbound","flags":"S","seq":10,"win":100},
			{"dir":"inbound","flags":"R.","seq":0,"ack":11,"win":0}]}`,
			`
│ SYN  seq x = 10                                                                  │
│ win 100  TTL 64                                                                  │
├──────────────────────────────────────────────────────────────────────────────────▶
│                                                                                  │
│ SYN  seq x = 10                                                                  │
│ win 100  TTL 64                                                                  │
├──────────────────────────────────────────────────────────────────────────────────▶
│                                                                                  │
│                                                         RST  seq 0  ack x+1 = 11 │
│                                                                            win 0 │
◀──────────────────────────────────────────────────────────────────────────────────┤
`,
		},
		{"of an older router", `{"lines":["IP 192.0.2.1.1051 > 198.51.100.2.80: Flags [S], seq 1, win 1, length 0"]}`, "\n"},
	}
	for _, tt := range tests {
		r, err := parse([]byte(tt.record))
		if err != nil {
			t.Fatal(err)
		}
		got := "\n"
		for _, line := range r.ladder(80) {
			got += ansi.Strip(line) + "\n"
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
