package config

import (
	"strings"
	"testing"
)

func TestPortOrGroup(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"::1:80": "::1 80", "::1:80/tcp": "::1 80", "2001:db8::5:443/udp": "2001:db8::5 443",
		"2001:db8::443": "", "::1": "", "::1:0": "", "::1:beef": "", "::1:80/icmp": "", "::1:80/128": "",
		"[::1]:80": "", "[::1:80]": "", "192.0.2.1:80": "", "example.com:80": "", "example.com": "",
		"1:2:3:4:5:6:7:80": "",
	} {
		address, port, ok := PortOrGroup(target)
		got := strings.TrimSpace(address + " " + port)
		if ok != (want != "") || ok && got != want {
			t.Errorf("PortOrGroup(%q) = %q, %t, want %q", target, got, ok, want)
		}
	}
}
