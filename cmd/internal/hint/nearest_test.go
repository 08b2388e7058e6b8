package hint_test

import (
	"strings"
	"testing"

	"syntap/cmd/internal/hint"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"mss", "mtu", "name", "tap", "half_open"}
	tests := []struct{ typed, want string }{
		{"mtuu", "mtu"},
		{"nane", "name"},
		{"half-open", "half_open"},
		{"halfopen", "half_open"},
		{"a", ""},
		{"", ""},
		{"clamp", ""},
		{"tun", ""}, // two of three letters differ from mtu
		{strings.Repeat("mtu", 1000), ""},
	}
	for _, tt := range tests {
		if got := hint.Nearest(tt.typed, words); got != tt.want {
			t.Errorf("nearest(%.20q) = %q, want %q", tt.typed, got, tt.want)
		}
	}
}
