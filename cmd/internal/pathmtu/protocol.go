package pathmtu

import (
	"fmt"
	"slices"
	"strings"
)

// Protocol is spoken on a port.
type Protocol string

// Protocols for which the prober has payload. All others get spaces.
const (
	TLS     Protocol = "tls"
	HTTP    Protocol = "http"
	SSH     Protocol = "ssh"
	Unknown Protocol = "unknown"
)

// webPorts and securePorts have clients that speak first, in HTTP and in TLS.
var (
	webPorts    = []uint16{80, 3128, 8000, 8008, 8080, 8081, 8888, 9090}
	securePorts = []uint16{443, 465, 636, 853, 990, 993, 995, 5061, 6443, 8443}
)

// usual tells whether the port is known to have clients that speak first.
func usual(port uint16) bool {
	return slices.Contains(webPorts, port) || slices.Contains(securePorts, port)
}

// Known reports whether servers on a port speak one of the protocols for which the prober has
// payload, so that it disturbs none.
func Known(port uint16) bool { return usual(port) || port == 22 }

// guesses returns the protocols in which to address a server that does not speak first, in order.
func guesses(port uint16) []Protocol {
	if slices.Contains(webPorts, port) {
		return []Protocol{HTTP, TLS}
	}
	return []Protocol{TLS, HTTP}
}

// request is the head of an HTTP request without its end.
func request(host, path string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: syntap\r\nAccept: */*\r\n", path, host)
}

// unfinished returns n bytes that a server reads without an answer, since they begin a message and
// do not end it: a line of spaces where the protocol is unknown, so that no command is complete.
func unfinished(p Protocol, host, path string, n int) []byte {
	var b strings.Builder
	switch p {
	case HTTP:
		b.WriteString(request(host, path))
		for b.Len() < n {
			b.WriteString("X-Padding: " + strings.Repeat("0", 500) + "\r\n")
		}
	case TLS: // a record of 16 KiB with the beginning of a ClientHello (RFC 8446, sections 4.1.2, 5.1)
		b.WriteString("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
	case SSH: // a packet of 32 KiB behind the identification (RFC 4253, sections 4.2, 6)
		b.WriteString("SSH-2.0-syntap\r\n\x00\x00\x80\x00\x04\x14")
	case Unknown:
		b.WriteString(strings.Repeat(" ", n))
	}
	if b.Len() < n {
		b.WriteString(strings.Repeat("\x00", n-b.Len()))
	}
	return []byte(b.String())[:n]
}
