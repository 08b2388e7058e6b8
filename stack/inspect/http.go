package inspect

import (
	"bytes"
	"strings"
)

// maxMethod is the length of the longest method of a request, in bytes.
const maxMethod = 32

// httpHost reads an HTTP/1 request (RFC 9112 §3) up to its host: that of a target in absolute or
// authority form, else the field Host. need is as in Client. HTTP/2 with prior knowledge
// (RFC 9113 §3.3) has another version in its first line and is no such request.
func httpHost(b []byte) (host string, need int) {
	more := len(b) + 1
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') { // RFC 9112 §2.2
		b = b[1:]
	}
	method := 0
	for method < len(b) && isToken(b[method]) {
		method++
	}
	switch {
	case method > maxMethod, method < len(b) && (method == 0 || b[method] != ' '):
		return "", 0
	case method == len(b):
		return "", more
	}
	line, b, ok := cutLine(b)
	switch {
	case bytes.ContainsFunc(line, isControl): // few servers take it for a request line
		return "", 0
	case !ok:
		return "", more
	}
	target, version, ok := cutLast(line[method+1:], ' ')
	if !ok || len(version) != len("HTTP/1.1") || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return "", 0
	}
	if host = hostOf(targetAuthority(line[:method], target)); host != "" {
		return host, 0
	}
	for {
		if line, b, ok = cutLine(b); !ok {
			return "", more
		}
		if len(line) == 0 {
			return "", 0
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) == len("host") && strings.EqualFold(string(name), "host") {
			return hostOf(bytes.Trim(value, " \t")), 0
		}
	}
}

// targetAuthority returns the authority of a target in authority form or absolute form (RFC 9112
// §3.2), and nothing for other targets.
func targetAuthority(method, target []byte) []byte {
	if string(method) != "CONNECT" {
		scheme, after, ok := bytes.Cut(target, []byte("://"))
		if !ok || bytes.ContainsAny(scheme, ":/?#") {
			return nil
		}
		target = after
	}
	if end := bytes.IndexAny(target, "/?#"); end >= 0 {
		target = target[:end]
	}
	return target
}

// isToken reports whether c may stand in a token (RFC 9110 §5.6.2).
func isToken(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// isControl reports whether r is a control character, and no space in C's sense.
func isControl(r rune) bool { return r < '\t' || '\r' < r && r < ' ' }

// cutLine cuts b behind its first line, which it returns without its end.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	line, rest, ok = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest, ok
}

func cutLast(b []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+1:], true
}

// hostOf returns the host of an authority (RFC 3986 §3.2): without user, password and port, and an
// IPv6 address without brackets.
func hostOf(authority []byte) string {
	if _, after, ok := cutLast(authority, '@'); ok {
		authority = after
	}
	if bytes.HasPrefix(authority, []byte("[")) {
		address, _, _ := bytes.Cut(authority[1:], []byte("]"))
		return hostName(address)
	}
	host, _, _ := bytes.Cut(authority, []byte(":"))
	return hostName(host)
}
