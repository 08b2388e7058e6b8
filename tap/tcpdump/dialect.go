package tcpdump

import "fmt"

// Dialect is a generation of tcpdump's notation.
type Dialect uint8

const (
	Classic Dialect = iota // tcpdump 3.7.2 (2003), the last release to write "S 1:1(0) win 512"
	Modern                 // tcpdump 4.99.3, "Flags [S], seq 1, win 512"
)

var dialectNames = [...]string{Classic: "classic", Modern: "modern"}

// String returns the dialect's name, "classic" or "modern".
func (d Dialect) String() string {
	if int(d) < len(dialectNames) {
		return dialectNames[d]
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}

// MarshalText is String for flags and config files.
func (d Dialect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText sets d to the dialect with the given name.
func (d *Dialect) UnmarshalText(text []byte) error {
	for i, name := range dialectNames {
		if name == string(text) {
			*d = Dialect(i)
			return nil
		}
	}
	return fmt.Errorf("parse dialect %q: want classic or modern", text)
}
