package egress

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Pattern stands for a name, or for all names below a domain.
type Pattern struct {
	name  string // lower case, A-labels, without final dot
	below bool   // not the name itself, but those with one or more labels before it
}

// unicode maps names as UTS 46 does for lookups. It leaves ASCII alone but for case: host names of
// services begin with an underscore (RFC 8552).
var unicode = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// Lengths of names in bytes (RFC 1035 §2.3.4, without the root's).
const (
	maxName  = 253
	maxLabel = 63
)

// ParsePattern reads a name such as "example.com", or "*.example.com" for the names below it. The
// case, a final dot and the form of an internationalized name (Unicode or A-labels) do not matter.
func ParsePattern(s string) (Pattern, error) {
	name, below := strings.CutPrefix(s, "*.")
	if name == "*" {
		return Pattern{}, errors.New(`has a "*" without a domain behind it, as in "*.example.com"`)
	}
	if strings.Contains(name, "*") {
		return Pattern{}, errors.New(`has a "*" elsewhere than alone at its front, as in "*.example.com"`)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return Pattern{}, errors.New("is an address, not a name")
	}
	name, err := toASCII(name)
	if err != nil {
		return Pattern{}, err
	}
	name = strings.TrimSuffix(name, ".") // which an ideographic full stop may have been
	return Pattern{name, below}, checkName(name)
}

// toASCII returns the A-labels of a name.
func toASCII(name string) (string, error) {
	if isPlain(name) {
		return strings.ToLower(name), nil
	}
	ascii, err := unicode.ToASCII(name)
	if err == nil {
		ascii = strings.ToLower(ascii)
		var again string
		if again, err = unicode.ToASCII(ascii); again != ascii && err == nil {
			err = errors.New("it has a label that means another one")
		}
	}
	if err != nil || !utf8.ValidString(name) {
		return "", fmt.Errorf("is no name: %w", cmp.Or(err, errors.New("it is not UTF-8")))
	}
	return ascii, nil
}

// isPlain reports whether a name is ASCII that maps to itself but for the case. Labels with hyphens
// may be A-labels, or have them where they may not be.
func isPlain(name string) bool {
	for _, c := range []byte(name) {
		if c != '.' && c != '_' && !('a' <= c|0x20 && c|0x20 <= 'z') && !('0' <= c && c <= '9') {
			return false
		}
	}
	return true
}

// checkName reports why no DNS name of a host is like this.
func checkName(name string) error {
	if name == "" {
		return errors.New("is empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("has %d bytes, a name at most %d", len(name), maxName)
	}
	numeric := true
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errors.New("has an empty label")
		case len(label) > maxLabel:
			return fmt.Errorf("has a label of %d bytes, which has at most %d", len(label), maxLabel)
		}
		for _, c := range []byte(label) {
			if !isNameByte(c) {
				return fmt.Errorf("has the character %q, which no name has", c)
			}
		}
		numeric = strings.Trim(label, "0123456789") == ""
	}
	if numeric { // RFC 1123 §2.1
		return errors.New("ends in a number, as only addresses do")
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// String returns the pattern as ParsePattern reads it.
func (p Pattern) String() string {
	if p.below {
		return "*." + p.name
	}
	return p.name
}

// MarshalText returns String.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// GobEncode implements gob.GobEncoder.
func (p Pattern) GobEncode() ([]byte, error) { return p.MarshalText() }

// GobDecode implements gob.GobDecoder.
func (p *Pattern) GobDecode(text []byte) (err error) {
	*p, err = ParsePattern(string(text))
	return err
}

// covers reports whether all names of o are names of p.
func (p Pattern) covers(o Pattern) bool {
	if p == o {
		return true
	}
	return p.below && strings.HasSuffix(o.name, "."+p.name)
}

// domains calls yield with each domain above a name, the longest first, until it returns false. A
// dot that is part of a label is escaped (RFC 1035 §5.1), and separates nothing.
func domains(name string, yield func(string) bool) {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++ // a character, or the first of three digits
		case '.':
			if !yield(name[i+1:]) {
				return
			}
		}
	}
}
