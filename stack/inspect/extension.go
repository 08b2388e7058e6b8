package inspect

import (
	"fmt"

	"syntap/tun/flow"
)

// Extensions of a ClientHello that are read.
const (
	extServerName        = 0      // RFC 6066 §3
	extALPN              = 16     // RFC 7301 §3.1
	extSupportedVersions = 43     // RFC 8446 §4.2.1
	extECH               = 0xfe0d // RFC 9849 §5
)

// readExtension adds the data of an extension to h. It ignores one that is malformed.
func readExtension(h *flow.Hello, kind int, r reader) {
	switch kind {
	case extServerName:
		names := reader{b: r.vector(2)}
		for h.SNI == "" && len(names.b) > 0 {
			const isHostName = 0
			kind, name := names.number(1), names.vector(2)
			if kind == isHostName && !names.bad {
				h.SNI = hostName(name)
			}
		}
	case extALPN:
		protocols := reader{b: r.vector(2)}
		for left := maxALPNText; left > 0 && len(protocols.b) > 0 && len(h.ALPN) < maxALPN; {
			p := protocols.vector(1)
			if len(p) > 0 && !(len(p) == 2 && isGREASE(int(p[0])<<8|int(p[1]))) {
				h.ALPN = append(h.ALPN, string(appendText(nil, p, "")))
				left -= len(p)
			}
		}
	case extSupportedVersions:
		if v := highestVersion(reader{b: r.vector(1)}); v != 0 {
			h.Version = versionName(v)
		}
	case extECH:
		const isOuter = 0
		h.ECH = r.number(1) == isOuter && !r.bad
	}
}

// isGREASE reports whether a number stands for none, and was only sent to see whether servers
// ignore it (RFC 8701 §2).
func isGREASE(v int) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// highestVersion returns the highest version of a list: of those that versionName knows, or of all
// where there are none of these; 0 if the list is empty.
func highestVersion(list reader) (version int) {
	const last = 0x0304
	for len(list.b) > 0 {
		v := list.number(2)
		switch {
		case isGREASE(v):
		case v <= last && (version > last || v > version), version == 0, version > last && v > version:
			version = v
		}
	}
	return version
}

func versionName(v int) string {
	switch {
	case v == 0x0300:
		return "SSL 3.0"
	case v > 0x0300 && v <= 0x0304:
		return string([]byte{'1', '.', '0' + byte(v-0x0301)})
	}
	return fmt.Sprintf("0x%04x", v)
}

// reader reads numbers and vectors of TLS (RFC 8446 §3). Once bytes are missing it has none left.
type reader struct {
	b   []byte
	bad bool
}

// take returns the next n bytes.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// number returns a number of n bytes.
func (r *reader) number(n int) (v int) {
	for _, c := range r.take(n) {
		v = v<<8 | int(c)
	}
	return v
}

// vector returns the bytes behind their length, a number of n bytes.
func (r *reader) vector(n int) []byte { return r.take(r.number(n)) }
