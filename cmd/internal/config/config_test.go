package config

import (
	"bytes"
	"encoding/gob"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"syntap/cmd/internal/hint"
	"syntap/stack/egress"
	"syntap/tap/policy"
	"syntap/tap/tcpdump"
	"syntap/tun/packet"
	"syntap/tun/route"
)

// compare knows prefixes, and that a rule is the same wherever it stands.
var compare = cmp.Options{
	cmpopts.EquateComparable(netip.Prefix{}), cmpopts.IgnoreFields(MSSRule{}, "Line"), cmpopts.IgnoreFields(DFRule{}, "Line"),
	cmpopts.IgnoreFields(EgressRule{}, "Line"), cmpopts.EquateComparable(egress.Pattern{}),
}

// reported returns the message of err as the user sees it, without the program's name.
func reported(err error) string {
	var b strings.Builder
	hint.Report(&b, err)
	return strings.ReplaceAll(b.String(), "syntap: ", "")
}

// TestBad parses each testdata/bad-RULE.yaml, which breaks one rule. The comment at its head is the
// exact report.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v, want the bad configs", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want strings.Builder
			for line := range strings.Lines(string(data)) {
				text, ok := strings.CutPrefix(line, "# ")
				if !ok {
					break
				}
				want.WriteString(text)
			}
			_, err = Parse(filepath.Base(file), data)
			if diff := cmp.Diff(want.String(), reported(err)); diff != "" {
				t.Errorf("Parse(%s): report differs (-want +got):\n%s", file, diff)
			}
			if status := hint.Report(&strings.Builder{}, err); status != hint.StatusUsage {
				t.Errorf("Parse(%s): status %d, want %d", file, status, hint.StatusUsage)
			}
		})
	}
}

// every is a config in which no key has its default, and want its meaning.
const every = `
tun: {name: tap-0.x_, mtu: 1280, queues: 8, addresses: [192.0.2.1/31, "2001:db8::1/128"], sources: [192.0.2.0/24, host, "2001:db8::/32"]}
route:
  include: [198.51.100.7, "2001:db8::1"]
  exclude: [198.51.100.0/25]
  include_uids: [0, 1000-1999]
  exclude_uids: ["1001"]
  keep_inbound: false
  on_crash: open
  mark: 16
  enforce: off
  table: 100
  priority: 200
egress: {interface: eth0.1, dial_timeout: 1m30s, user_timeout: 1500ms, keepalive_idle: 60s, keepalive_interval: 5s, keepalive_probes: 127, udp_timeout: 3m, icmp_timeout: 90s, busy_poll: 100us, deny: [], allow: [169.254.169.254, loopback],
  rules: [{name: ["*.Example.com", bücher.example.], dst: ["2001:db8::/32"], ports: [1, 80-90], proto: udp, uid: [0, 1-2], verdict: allow}, {name: localhost, verdict: deny, reason: no}],
  default: deny, names: dns, strict: true}
tap:
  timeout: 250ms
  findings: apply
  log:
    - {format: modern, path: "-", order: packet, timestamp: since, relative: true, on_full: count}
    - {format: json, path: a.json, max_size: 100MiB, max_age: 168h, max_files: 10, compress: true, on_full: stop, chain: true, chain_key: key, sync: true}
    - {format: classic, path: "-"}
    - {format: pcapng, path: a.pcapng, max_size: 1500}
mss:
  - {clamp: pmtu}
  - {clamp: off, malformed: drop, direction: inbound}
  - {clamp: 88, unsafe: true, src: [192.0.2.0/24], dst: [198.51.100.0/24, "2001:db8::/32"], ports: [443, 8000-8999], direction: outbound, family: 4, add: true}
df:
  - {policy: enforce, src: [192.0.2.0/24]}
  - {policy: preserve, direction: both}
limits: {tcp_flows: 7, tcp_flows_per_source: 6, udp_flows: 2, udp_flows_per_source: 1, half_open: 4, half_open_per_source: 3, memory: 64MiB}
fleet: {router: gate-1.example.com, stores: [{name: logs1, url: "https://logs1:9428", ca: ca.pem, token: token}, {url: "otlp+https://[2001:db8::1]:4318/x", cert: cert, key: key}],
  query: [{url: "http://127.0.0.1:9428"}], log: a.json, fields: [minimal, name], delay: 5s, spool: 1GiB, on_full: suspend}
http: {listen: "[::1]:9153"}
log: {level: debug, format: json}
`

func wantEvery() *Config {
	prefix := netip.MustParsePrefix
	pattern := func(s string) egress.Pattern {
		p, err := egress.ParsePattern(s)
		if err != nil {
			panic(err)
		}
		return p
	}
	return &Config{
		TUN: TUN{
			Name: "tap-0.x_", MTU: 1280, Queues: 8, Addresses: []netip.Prefix{prefix("192.0.2.1/31"), prefix("2001:db8::1/128")},
			Sources: AddressSet{Words: []string{Host}, Prefixes: []netip.Prefix{prefix("192.0.2.0/24"), prefix("2001:db8::/32")}},
		},
		Route: Route{
			Include: []netip.Prefix{prefix("198.51.100.7/32"), prefix("2001:db8::1/128")}, Exclude: []netip.Prefix{prefix("198.51.100.0/25")},
			IncludeUIDs: []route.UIDRange{{First: 0, Last: 0}, {First: 1000, Last: 1999}}, ExcludeUIDs: []route.UIDRange{{First: 1001, Last: 1001}},
			OnCrash: Open, Enforce: route.EnforceOff, Mark: 16, Table: 100, Priority: 200,
		},
		Egress: Egress{
			Interface: "eth0.1", DialTimeout: 90 * time.Second, UserTimeout: 1500 * time.Millisecond,
			KeepaliveIdle: time.Minute, KeepaliveInterval: 5 * time.Second, KeepaliveProbes: 127, UDPTimeout: 3 * time.Minute, ICMPTimeout: 90 * time.Second, BusyPoll: 100 * time.Microsecond,
			Allow: AddressSet{Words: []string{Loopback}, Prefixes: []netip.Prefix{prefix("169.254.169.254/32")}},
			Rules: []EgressRule{
				{
					Name: []egress.Pattern{pattern("*.example.com"), pattern("xn--bcher-kva.example")},
					Dst:  []netip.Prefix{prefix("2001:db8::/32")}, Ports: []packet.PortRange{{First: 1, Last: 1}, {First: 80, Last: 90}},
					Proto: "udp", UID: []route.UIDRange{{First: 0, Last: 0}, {First: 1, Last: 2}}, Verdict: Allow,
				},
				{Name: []egress.Pattern{pattern("localhost")}, Verdict: Deny, Reason: "no"},
			},
			Default: Deny, Names: NamesDNS, Strict: true,
		},
		Tap: Tap{Timeout: 250 * time.Millisecond, Findings: Apply, Log: []Sink{
			{Format: Modern, Path: "-", Order: ByPacket, Timestamp: tcpdump.Since, Relative: true, OnFull: Count},
			{Format: JSON, Path: "a.json", MaxSize: 100 * MiB, MaxAge: 168 * time.Hour, MaxFiles: 10, Compress: true, OnFull: Stop, Chain: true, ChainKey: "key", Sync: true},
			{Format: Classic, Path: "-", Order: ByHandshake, OnFull: Suspend},
			{Format: PCAPNG, Path: "a.pcapng", MaxSize: 1500, OnFull: Suspend},
		}},
		MSS: []MSSRule{
			{MSSRule: policy.MSSRule{Match: policy.Match{Direction: packet.Both}, Clamp: policy.ClampPMTU}},
			{MSSRule: policy.MSSRule{Match: policy.Match{Direction: packet.Inbound}, Malformed: policy.Drop}},
			{
				MSSRule: policy.MSSRule{
					Match: policy.Match{
						Src: []netip.Prefix{prefix("192.0.2.0/24")}, Dst: []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8::/32")},
						Ports: []packet.PortRange{{First: 443, Last: 443}, {First: 8000, Last: 8999}}, Direction: packet.Outbound, Family: 4,
					},
					Clamp: 88, Add: true,
				},
				Unsafe: true,
			},
		},
		DF: []DFRule{
			{DFRule: policy.DFRule{
				Match:  policy.Match{Src: []netip.Prefix{prefix("192.0.2.0/24")}, Direction: packet.Both},
				Policy: packet.EnforceDF,
			}},
			{DFRule: policy.DFRule{Match: policy.Match{Direction: packet.Both}}},
		},
		Limits: Limits{TCPFlows: 7, TCPFlowsPerSource: 6, UDPFlows: 2, UDPFlowsPerSource: 1, HalfOpen: 4, HalfOpenPerSource: 3, Memory: 64 * MiB},
		Fleet: Fleet{
			Router: "gate-1.example.com", Stores: []FleetStore{
				{Name: "logs1", URL: "https://logs1:9428", CA: "ca.pem", Token: "token"},
				{URL: "otlp+https://[2001:db8::1]:4318/x", Cert: "cert", Key: "key"},
			},
			Query: []FleetStore{{URL: "http://127.0.0.1:9428"}}, Log: "a.json", Fields: []string{"minimal", "name"},
			Delay: 5 * time.Second, Spool: GiB, OnFull: Suspend,
		},
		HTTP: HTTP{Listen: "[::1]:9153"},
		Log:  Log{Level: "debug", Format: "json"},
	}
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	d := newDocument("every.yaml")
	got := d.parse([]byte(every))
	if err := report(d.problems); err != nil {
		t.Fatalf("parse: %v", err)
	}
	if diff := cmp.Diff(wantEvery(), got, compare); diff != "" {
		t.Errorf("parse differs (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		data string
		want func(c *Config)
	}{
		{"one key", "tun: {mtu: 9000}", func(c *Config) { c.TUN.MTU = 9000 }},
		{"no route", "route: {include: []}", func(c *Config) { c.Route.Include = nil }},
		{"small MTU without IPv6", "tun: {mtu: 576, addresses: [198.18.0.1/30]}\nroute: {include: [0.0.0.0/0]}", func(c *Config) {
			c.TUN.MTU, c.TUN.Addresses, c.Route.Include = 576, c.TUN.Addresses[:1], c.Route.Include[:1]
		}},
		{"no sink", "tap: {log: []}", func(c *Config) { c.Tap.Log = nil }},
		{"automatic queues", "tun: {queues: auto}", func(*Config) {}},
		{"quoted number", `tun: {mtu: "1400"}`, func(c *Config) { c.TUN.MTU = 1400 }},
		{"decimal mark", "route: {mark: 4294967295}", func(c *Config) { c.Route.Mark = 0xffffffff }},
		{"the default limit of a source follows half_open", "limits: {half_open: 100}", func(c *Config) {
			c.Limits.HalfOpen, c.Limits.HalfOpenPerSource = 100, 100
		}},
		{"byte order mark", "\ufefflog: {level: warn}", func(c *Config) { c.Log.Level = "warn" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := Default()
			tt.want(want)
			got, err := Parse("test.yaml", []byte(tt.data))
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.data, err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("Parse(%q) differs (-want +got):\n%s", tt.data, diff)
			}
		})
	}
}

func TestMarshal(t *testing.T) {
	t.Parallel()
	for _, c := range []*Config{Default(), wantEvery()} {
		data, err := c.Marshal()
		if err != nil {
			t.Fatalf("Marshal: %v", err)
		}
		d := newDocument("marshalled.yaml")
		got := d.parse(data)
		if err := report(d.problems); err != nil {
			t.Errorf("parse of\n%s: %v", data, err)
		}
		if diff := cmp.Diff(c, got, compare); diff != "" {
			t.Errorf("parse of the marshalled config differs (-want +got):\n%s", diff)
		}
	}
}

// TestGob has a config pass to another process, with what stands in no file.
func TestGob(t *testing.T) {
	t.Parallel()
	flags := Default()
	rule, err := NewEgressRule("--allow", Allow, "*.example.com:443/tcp")
	if err != nil {
		t.Fatal(err)
	}
	flags.Egress.Rules = append(flags.Egress.Rules, rule)
	for _, c := range []*Config{Default(), wantEvery(), flags} {
		var b bytes.Buffer
		got := new(Config)
		if err := errors.Join(gob.NewEncoder(&b).Encode(c), gob.NewDecoder(&b).Decode(got)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got, compare, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the config of another process differs (-want +got):\n%s", diff)
		}
		for i := range c.Egress.Rules {
			if got, want := got.Egress.Place(i), c.Egress.Place(i); got != want {
				t.Errorf("rule %d is %s, want %s", i, got, want)
			}
		}
	}
}

// A key by its former name still works, and a notice says so.
func TestOutdatedKey(t *testing.T) {
	t.Parallel()
	c, err := Parse("test.yaml", []byte("tun:\n  spin: 100us\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Egress.BusyPoll != 100*time.Microsecond {
		t.Errorf("egress.busy_poll is %v, want 100µs", c.Egress.BusyPoll)
	}
	want := []string{"tun.spin in line 2 is egress.busy_poll now; the old name still works"}
	if diff := cmp.Diff(want, c.Outdated); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	if _, err := Parse("test.yaml", []byte("tun: {spinn: 1us}")); err == nil || strings.Contains(hint.Of(err.(hint.List)[0]), `"spin"`) {
		t.Errorf("Parse proposes an outdated key: %v", err)
	}
}
