package inspect

import (
	"encoding/base64"
	"strconv"
)

// Keys of SvcParams (RFC 9460 §14.3.2), with the formats that are not a quoted string.
const (
	svcMandatory = 0
	svcALPN      = 1
	svcNoALPN    = 2
	svcPort      = 3
	svcIPv4Hint  = 4
	svcECH       = 5
	svcIPv6Hint  = 6
)

var svcKeys = []string{
	"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp",
}

func (f *fields) svcKey(key uint64) {
	if key < uint64(len(svcKeys)) {
		f.text = append(f.text, svcKeys[key]...)
		return
	}
	f.text = append(f.text, "key"...)
	f.text = strconv.AppendUint(f.text, key, 10)
}

// svcParams reads the parameters of a SVCB or HTTPS record, and removes the space in front of none.
func (f *fields) svcParams() bool {
	if f.off == len(f.m) {
		f.text = f.text[:len(f.text)-1]
	}
	for first := true; f.off < len(f.m); first = false {
		key, ok := f.number(2)
		value, ok2 := f.sized(2)
		if !ok || !ok2 {
			return false
		}
		if !first {
			f.text = append(f.text, ' ')
		}
		f.svcKey(key)
		if len(value) == 0 {
			continue
		}
		f.text = append(f.text, '=')
		v := fields{m: value, text: f.text}
		if !v.svcValue(key) {
			return false
		}
		f.text = v.text
	}
	return true
}

// svcValue reads the value of a parameter, which is all of m.
func (f *fields) svcValue(key uint64) bool {
	switch key {
	case svcMandatory:
		return f.list(func() bool {
			k, ok := f.number(2)
			f.svcKey(k)
			return ok
		})
	case svcALPN:
		f.text = append(f.text, '"')
		ok := f.list(f.alpn)
		f.text = append(f.text, '"')
		return ok
	case svcPort:
		return f.field('2') && f.off == len(f.m)
	case svcIPv4Hint:
		return f.list(func() bool { return f.address(4) })
	case svcIPv6Hint:
		return f.list(func() bool { return f.address(16) })
	case svcECH:
		f.text = base64.StdEncoding.AppendEncode(f.text, f.rest())
		return true
	}
	f.quote(f.rest())
	return key != svcNoALPN // which has no value
}

// list reads values up to the end, and writes commas between them.
func (f *fields) list(value func() bool) bool {
	for first := true; f.off < len(f.m); first = false {
		if !first {
			f.text = append(f.text, ',')
		}
		if !value() {
			return false
		}
	}
	return true
}

// alpn reads a protocol of a list in a quoted string, which escapes commas and backslashes twice
// (RFC 9460 appendix A.1).
func (f *fields) alpn() bool {
	b, ok := f.sized(1)
	for _, c := range b {
		switch c {
		case ',':
			f.text = append(f.text, `\\,`...)
		case '\\':
			f.text = append(f.text, `\\\\`...)
		default:
			f.text = appendText(f.text, []byte{c}, `"`)
		}
	}
	return ok
}
