package inspect

import (
	"encoding/binary"
	"slices"

	"syntap/tun/flow"
)

const (
	recordHandshake = 22 // RFC 8446 §5.1
	recordHeader    = 5  // bytes
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
// 8446 §5.1), and returns the body of that; nil where b is something else, or the message is longer
// than MaxClient. need is as in Client.
func clientHello(b []byte) (body []byte, need int) {
	var message []byte
	for rest := b; ; {
		head := rest[:min(len(rest), recordHeader)]
		if len(head) > 0 && head[0] != recordHandshake || len(head) > 1 && head[1] != 3 {
			return nil, 0
		}
		if len(head) < recordHeader {
			return nil, len(b) + recordHeader - len(head)
		}
		size := int(binary.BigEndian.Uint16(head[3:]))
		if size == 0 || size > maxRecord {
			return nil, 0
		}
		fragment := rest[recordHeader:min(len(rest), recordHeader+size)]
		if message == nil {
			message = slices.Clip(fragment) // the usual one record is not copied
		} else {
			message = append(message, fragment...)
		}
		body, missing := helloBody(message)
		if missing == 0 {
			return body, 0
		}
		if missing < 0 {
			return nil, 0
		}
		if len(fragment) < size {
			return nil, len(b) + min(missing, size-len(fragment))
		}
		rest = rest[recordHeader+size:]
	}
}

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
