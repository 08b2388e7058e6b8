package web

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/record"
)

func TestReport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status Status
		want   string
	}{
		{"fresh", Status{Version: "v1.2.3", PID: 42, Interface: "syntap0"}, `syntap v1.2.3, process 42, up 0s, TUN syntap0
  handshakes  none
  flows       tcp 0, udp 0, icmp 0; 0 half open
  memory      0.0 MiB held, 0.0 MiB reserved, limit 0 MiB
  outbound    0 frames, 0 B
  inbound     0 frames, 0 B
  mss         none rewritten
  df          none rewritten
  drops       none
  failures    none
  log         0 records, lost: none
`},
		{"busy", Status{Version: "(devel)", PID: 42, Interface: "tap9", Uptime: 3723.9, Processes: []isolate.Process{
			{
				PID: 42, Role: isolate.Router, UID: 7, NoNewPrivs: true, Seccomp: isolate.SeccompFilter, Writable: []string{"/run", "/var/log/syntap"},
				Capabilities: isolate.Capabilities{Permitted: []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}},
			},
			{PID: 43, Role: "web", Seccomp: isolate.SeccompOff, Landlock: true},
		}, Counters: Counters{
			Handshakes:    map[string]uint64{"half_open": 1, "established": 1053, "aborted": 0},
			Drops:         map[string]uint64{"checksum": 2, "source": 5, "land": 2, "icmp": 0, "waiting": 1, "refused": 3},
			LocalFailures: map[string]uint64{"EMFILE": 3},
			Flows:         map[string]int64{"tcp": 12, "udp": 3, "icmp": 1}, HalfOpen: 4, Memory: Memory{3 << 19, 20 << 20, 256 << 20},
			Outbound: Traffic{12034, 999}, Inbound: Traffic{80211, 1_234_567_890},
			MSSRewrites: map[string]uint64{"syn": 7, "synack": 6}, DFRewrites: map[string]uint64{"set": 1},
			MSSRules: []Rule{{"everything: clamp to 1360", 13}, {"never", 0}}, DFRules: []Rule{{"everything: set", 1}},
			LogRecords: 1054, LogLost: map[string]uint64{"queue_full": 9},
			Owners: &Owners{Lacks: []string{"CAP_A", "CAP_B"}, Found: 1000, NotFound: map[string]uint64{"deadline": 4, "permission": 50, "busy": 0}},
			Names:  &Names{312, 5, 7},
			Findings: []record.Finding{
				{Kind: record.BlackHole, Dst: "203.0.113.2", Direction: "up", Passes: 1400, Fails: 1401, Clamp: 1360, Applied: true},
				{Kind: record.BlackHole, Dst: "2001:db8::2", Name: "www.example.com", Direction: "down", Passes: 1280, Clamp: 1220},
			},
		}}, `syntap (devel), process 42, up 1h2m3s, TUN tap9
  processes   42 router: user 7, CAP_NET_ADMIN CAP_NET_RAW, no new privileges, system calls filtered, no landlock
              not read-only: /run /var/log/syntap
              43 web: user 0, no capability, may get new privileges, system calls not filtered, landlock
              no writable path
  handshakes  1053 established, 1 half_open
  flows       tcp 12, udp 3, icmp 1; 4 half open
  memory      1.5 MiB held, 20.0 MiB reserved, limit 256 MiB
  outbound    12034 frames, 999 B
  inbound     80211 frames, 1.235 GB
  mss         syn 7, synack 6 rewritten
              mss rule 1: 13 by everything: clamp to 1360
              mss rule 2: 0 by never
  df          set 1 rewritten
              df rule 1: 1 by everything: set
  drops       source 5, refused 3, checksum 2, land 2, waiting 1
  findings    203.0.113.2, black hole up, 1400 bytes pass, 1401 vanish, clamp 1360 applied
              2001:db8::2 www.example.com, black hole down, 1280 bytes pass, cure: clamp 1220
  failures    EMFILE 3
  log         1054 records, lost: queue_full 9; 4 SYNs kept out while it could not be written
  owners      1000 found, not found: permission 50, deadline 4
              processes of other users cannot be found without CAP_A and CAP_B
  names       addresses 312, in use 5, evicted 7
`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.status.Report()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
