package packet

import "fmt"

// DF says what becomes of the don't-fragment bit of IPv4 packets.
type DF uint8

// The values of [DF].
const (
	PreserveDF DF = iota // it stays as it is
	SetDF
	ClearDF
	EnforceDF // as SetDF, and fragments from the client are refused
)

var dfWords = [...]string{PreserveDF: "preserve", SetDF: "set", ClearDF: "clear", EnforceDF: "enforce"}

// String returns the word of a config for d.
func (d DF) String() string {
	if int(d) < len(dfWords) {
		return dfWords[d]
	}
	return fmt.Sprintf("DF(%d)", uint8(d))
}

// MarshalText returns the word of a config for d.
func (d DF) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
