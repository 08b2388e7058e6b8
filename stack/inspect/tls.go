package inspect

import (
	"encoding/binary"
	"slices"

	"syntap/tun/flow"
)

const (
	recordFirst     = 20 // of the types (RFC 8446 §5.1)
	recordAlert     = 21
	recordHandshake = 22
	recordLast      = 23
	recordHeader    = 5 // bytes
	alertSize       = 2
	maxRecord       = 1 << 14
	typeClientHello = 1 // RFC 8446 §4
	messageHeader   = 4 // bytes
)

// Of the protocols of a ClientHello the first are kept.
const (
	maxALPN     = 16
	maxALPNText = 512 // bytes as they are sent; the last may exceed it
)

// clientHello reads TLS records up to the end of a ClientHello, which may stand in several (RFC
// 8446 §5.1), and returns the body of that; nil where b is something else. need is as in Client. It
// skips empty records, warnings and ChangeCipherSpec, as one or the other server does. unclear is
// that a ClientHello begins, and cannot be read to its end.
func clientHello(b []byte) (body []byte, need int, unclear bool) {
	if !isFirstRecord(b) {
		return nil, 0, false
	}
	var message []byte
	for rest := b; ; {
		head := rest[:min(len(rest), recordHeader)]
		switch size, ok := recordSize(head); {
		case !ok:
			return nil, 0, len(message) > 0
		case len(head) < recordHeader:
			return nil, len(b) + recordHeader - len(head), false
		case head[0] != recordHandshake && len(rest) < recordHeader+size:
			return nil, len(b) + recordHeader + size - len(rest), false
		case head[0] != recordHandshake:
			rest = rest[recordHeader+size:]
		default:
			fragment := rest[recordHeader:min(len(rest), recordHeader+size)]
			if message == nil {
				message = slices.Clip(fragment) // the usual one record is not copied
			} else {
				message = append(message, fragment...)
			}
			body, missing := helloBody(message)
			switch {
			case missing == 0:
				return body, 0, false
			case missing < 0:
				return nil, 0, isLongHello(message)
			case len(fragment) < size:
				return nil, len(b) + min(missing, size-len(fragment)), false
			}
			rest = rest[recordHeader+size:]
		}
	}
}

// isFirstRecord reports whether b may begin a client's first record. Of other versions than 3 that
// is a warning, or a ClientHello, as crypto/tls takes them.
func isFirstRecord(b []byte) bool {
	return len(b) < 2 || b[1] == 3 || (b[0] == recordAlert || b[0] == recordHandshake) &&
		(len(b) <= recordHeader || b[recordHeader] == typeClientHello) // also the level of a warning
}

// recordSize returns the size of the record with a header, or with the beginning of one: then 0. It
// fails for a header that no record has before the end of a ClientHello.
func recordSize(head []byte) (size int, ok bool) {
	if len(head) > 0 && (head[0] < recordFirst || head[0] > recordLast) ||
		len(head) > 1 && head[1] >= 16 { // the versions that crypto/tls refuses
		return 0, false
	}
	if len(head) < recordHeader {
		return 0, true
	}
	size = int(binary.BigEndian.Uint16(head[3:]))
	if head[0] != recordHandshake {
		return size, size <= alertSize
	}
	return size, size <= maxRecord
}

// isLongHello reports whether a message is a ClientHello that is too long here, and for no server:
// OpenSSL takes up to 131,396 bytes.
func isLongHello(message []byte) bool { return message[0] == typeClientHello && message[1] <= 2 }

// helloBody returns the body of the ClientHello that a handshake message is, or how many of its
// bytes are missing at least: -1 where it is something else, or longer than MaxClient.
func helloBody(message []byte) (body []byte, missing int) {
	if len(message) > 0 && message[0] != typeClientHello {
		return nil, -1
	}
	if len(message) < messageHeader {
		return nil, messageHeader - len(message)
	}
	size := messageHeader + int(binary.BigEndian.Uint32(message)&0xffffff)
	switch {
	case size > MaxClient:
		return nil, -1
	case size > len(message):
		return nil, size - len(message)
	}
	return message[messageHeader:size], 0
}

// parseHello reads the body of a ClientHello (RFC 8446 §4.1.2), or returns nil if it is malformed.
func parseHello(body []byte) *flow.Hello {
	r := reader{b: body}
	legacy := r.number(2)
	r.take(32)  // random
	r.vector(1) // legacy_session_id
	r.vector(2) // cipher_suites
	r.vector(1) // legacy_compression_methods
	if r.bad {
		return nil
	}
	// Higher versions than 1.2 are in supported_versions only.
	h := &flow.Hello{Version: versionName(min(legacy, 0x0303))}
	if len(r.b) == 0 {
		return h // without extensions
	}
	extensions := reader{b: r.vector(2)}
	for len(extensions.b) > 0 {
		kind := extensions.number(2)
		readExtension(h, kind, reader{b: extensions.vector(2)})
	}
	if r.bad || extensions.bad {
		return nil
	}
	return h
}
