package policy

import "strconv"

// Verdict says whether a packet passes.
type Verdict uint8

// The verdicts.
const (
	Pass   Verdict = iota
	Drop           // drop it
	TooBig         // drop it and answer with ICMP "fragmentation needed", which carries the MTU
)

var verdictWords = [...]string{Pass: "pass", Drop: "drop", TooBig: "too big"}

// String returns the word of a config for v.
func (v Verdict) String() string {
	if int(v) < len(verdictWords) {
		return verdictWords[v]
	}
	return "Verdict(" + strconv.Itoa(int(v)) + ")"
}

// MarshalText returns the word of a config for v.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Rewrite is one change that a rule has made to a packet. The zero value is none.
type Rewrite struct {
	What     string // "mss" or "df"
	From, To int    // bytes, From being None if the option was missing; of the DF bit 0 or 1
	Rule     int    // number of the rule, from 1
}

// None stands for the former MSS if a rule has added the option.
const None = -1

// Words returns From and To for people.
func (r Rewrite) Words() (from, to string) {
	word := func(v int) string {
		switch {
		case v == None:
			return "none"
		case r.What == "mss":
			return strconv.Itoa(v)
		case v == 0:
			return "clear"
		}
		return "set"
	}
	return word(r.From), word(r.To)
}
