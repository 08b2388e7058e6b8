package inspect

import (
	"bytes"

	"syntap/tun/flow"
)

// Said is the names in a client's first bytes, for the decision whether they may pass.
type Said struct {
	Hello *flow.Hello
	Host  string // of an HTTP/1 request
	Field string // its field Host, where Host is that of its target

	// Need is 0 if more bytes would add nothing. Otherwise the bytes end too early, and a call with
	// fewer than Need bytes finds nothing either. Above MaxClient, the name may be in bytes that
	// are not read.
	Need int

	// Unclear means that a server may read a name in the bytes that is not here.
	Unclear bool
}

// Strict reads the first bytes of a client as Client does, but requests as leniently as servers do.
// If Client finds no name in the bytes, Strict says whether any server may read one.
func Strict(b []byte) (s Said) {
	p := prefaceOf(b)
	if p.unclear || p.more > MaxClient {
		return Said{Unclear: true}
	}
	b = b[p.size:]
	switch {
	case p.more > 0:
		s.Need = p.more
	case recordFirst <= b[0] && b[0] <= recordLast:
		var body []byte
		body, s.Need, s.Unclear = clientHello(b)
		s.Hello = parseHello(body)
		s.Unclear = s.Unclear || s.Hello == nil && len(body) > 0
	default:
		s.readRequest(b)
	}
	if s.Need > 0 {
		s = Said{Need: s.Need + p.size}
	}
	return s
}

// readRequest is for bytes that are no TLS. A line with a version of HTTP is one of a request,
// which has to be as RFC 9112 §3 has it, but for spaces before it.
func (s *Said) readRequest(b []byte) {
	more := len(b) + 1
	b = bytes.TrimLeft(b, " \t\r\n")
	method := bytes.IndexFunc(b, func(r rune) bool { return r > '~' || !isToken(byte(r)) })
	switch {
	case method < 0:
		s.Need = more
		return
	case method == 0, b[method] != ' ' && b[method] != '\t':
		return
	}
	line, rest, ok := cutLine(b)
	if !ok {
		if isWord(b[:method]) || !bytes.ContainsFunc(b, isControl) {
			s.Need = more
		}
		return
	}
	target, isRequest, ok := cutTarget(line, method)
	switch {
	case !isRequest && string(b[:method]) == "GET": // of HTTP/0.9, which may have an absolute form
		s.setHost(&s.Host, targetAuthority(b[:method], line[method+1:]))
	case !ok:
		s.Unclear = isRequest
	default:
		s.setHost(&s.Host, targetAuthority(b[:method], target))
		if s.readField(rest) {
			s.Need = more
		}
	}
}

// cutTarget returns the target of a request by its first line, whose method has so many bytes. It
// fails where the line is no request, or servers may read it in several ways.
func cutTarget(line []byte, method int) (target []byte, isRequest, ok bool) {
	if string(line) == "PRI * HTTP/2.0" { // has no names in text (RFC 9113 §3.4)
		return nil, false, false
	}
	n := versions(line)
	target, version, _ := cutLast(line, ' ')
	ok = n == 1 && isVersion(version) && line[method] == ' ' && len(target) > method &&
		len(version) == len("HTTP/1.1") && bytes.HasPrefix(version, []byte("HTTP/1.")) &&
		!bytes.ContainsAny(line, "\r\x00")
	if !ok {
		return nil, n > 0, false
	}
	return target[method+1:], true, true
}

// readField looks for the field Host in the lines behind the first, and reports whether it may
// stand in further bytes. A line that a server may take for that field, and another for none, is
// not clear.
func (s *Said) readField(b []byte) (more bool) {
	for {
		line, rest, ok := cutLine(b)
		if !ok || len(line) == 0 {
			return !ok
		}
		b = rest
		name, value, _ := bytes.Cut(line, []byte(":"))
		bare := bytes.TrimSpace(name)
		isHost := len(bare) == len("host") && bytes.EqualFold(bare, []byte("host"))
		switch {
		case bytes.ContainsAny(line, "\r\x00"), isHost && len(bare) < len(name):
			s.Unclear = true
			return false
		case isHost && len(rest) == 0:
			return true // the value may go on in the next line (RFC 9112 §5.2)
		case isHost && (rest[0] == ' ' || rest[0] == '\t'):
			s.Unclear = true
			return false
		case !isHost:
		case s.Host == "":
			s.setHost(&s.Host, bytes.Trim(value, " \t"))
			return false
		default:
			s.setHost(&s.Field, bytes.Trim(value, " \t"))
			return false
		}
	}
}

// setHost sets a host by an authority. Servers differ where that has a user (RFC 9110 §4.2.4).
func (s *Said) setHost(host *string, authority []byte) {
	s.Unclear = s.Unclear || bytes.IndexByte(authority, '@') >= 0
	*host = hostOf(authority)
}

// versions returns how many words of a line may be taken for a version of HTTP.
func versions(line []byte) (n int) {
	for word := range bytes.FieldsSeq(line) {
		if isVersion(word) {
			n++
		}
	}
	return n
}

// isVersion reports whether a word may be taken for a version of HTTP.
func isVersion(word []byte) bool {
	const name = "HTTP/"
	return len(word) > len(name) && bytes.EqualFold(word[:len(name)], []byte(name)) &&
		'0' <= word[len(name)] && word[len(name)] <= '9'
}

// isWord reports whether a method is one of letters, as those of binary protocols rarely are.
func isWord(method []byte) bool {
	return !bytes.ContainsFunc(method, func(r rune) bool {
		return r != '-' && r != '_' && (r|0x20 < 'a' || 'z' < r|0x20)
	})
}
