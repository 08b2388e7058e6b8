package top

import (
	"strings"
	"testing"

	"syntap/cmd/internal/record"
)

// TestHostileProcess has a process whose name is a command to the terminal.
func TestHostileProcess(t *testing.T) {
	t.Parallel()
	r, err := parse([]byte(`{"outcome":"refused","src":"192.0.2.1","sport":1,"dst":"2001:db8::1","dport":2,"uid":0,"user":"\u001b]","pid":7,"process":"\u001b]0;x\u0007\u202e\n名"}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `\x1b]0;x\x07\u202e\n名`
	if got := r.owner(); got != want+`, process 7, user \x1b]` {
		t.Errorf("owner is %q", got)
	}
	if got := r.note(); got != want {
		t.Errorf("note is %q, want %q", got, want)
	}
	for _, line := range append(r.detail(80), (&model{width: 80}).columns("", "", r.client(), r.server(), "", "", "", r.note())) {
		if strings.ContainsAny(line, "\n\a\u202e") || strings.Contains(line, "\x1b]") {
			t.Errorf("the terminal would get %q", line)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	r := &row{record.Handshake{
		Outcome: "refused", Tuple: record.Tuple{Src: "192.0.2.1", SPort: 1051, Dst: "2001:db8::1", DPort: 443},
		Upstream: &record.Upstream{Error: "ECONNREFUSED"},
	}}
	tests := []struct {
		filter string
		want   bool
	}{
		{"", true},
		{"refused 443", true},
		{"[2001:db8::1]:443", true},
		{"econn 192.0.2.1:1051", true},
		{"established", false},
		{"refused 80", false},
	}
	for _, tt := range tests {
		if got := r.matches(strings.Fields(tt.filter)); got != tt.want {
			t.Errorf("matches(%q) = %t, want %t", tt.filter, got, tt.want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for us, want := range map[int64]string{0: "0 µs", 999: "999 µs", 1000: "1.00 ms", 12345: "12.3 ms", 999_400: "999 ms", 3_000_000: "3.00 s"} {
		if got := duration(&us); got != want {
			t.Errorf("duration of %d µs = %q, want %q", us, got, want)
		}
	}
	if got := duration(nil); got != "-" {
		t.Errorf("duration(nil) = %q", got)
	}
}
