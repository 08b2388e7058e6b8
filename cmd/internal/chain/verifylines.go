package chain

import (
	"bytes"

	"syntap/cmd/internal/record"
)

// maxVariants is how many records with the same number are looked at.
const maxVariants = 16

// VerifyLines checks the chain of a log that does not lie in files. read calls f with each line,
// without its end, in the order of their numbers; lines that have the same number and differ come
// each. Reports name the log by name. It may have lost its beginning; see Begins.
func VerifyLines(
	c *record.Chain, name string, heads []Witness, read func(f func(line []byte) error) error,
) (Verified, error) {
	v := verifier{chain: c, wanted: make(map[uint64][]Witness), late: true, prefix: name + ": "}
	v.Keyed = c.Keyed
	for _, w := range heads {
		v.witness(w)
	}
	var variants [][]byte
	var seq uint64
	err := read(func(line []byte) error {
		n, _ := record.SeqOf(line)
		if n != seq || n == 0 {
			v.one(name, variants)
			variants, seq = variants[:0], n
		}
		if len(variants) < maxVariants {
			variants = append(variants, bytes.Clone(line))
		}
		return nil
	})
	if err != nil {
		return Verified{}, err
	}
	v.one(name, variants)
	for _, hole := range v.holes {
		if len(v.Breaks) >= maxBreaks {
			break
		}
		for _, part := range hole.without(v.gone) {
			v.broken("%s: %s", name, missing(part.first, part.last))
		}
	}
	v.judge()
	return v.Verified, nil
}

// without returns the parts of a span that are in no other.
func (s span) without(others []span) (parts []span) {
	parts = []span{s}
	for _, o := range others {
		var rest []span
		for _, p := range parts {
			if o.last < p.first || o.first > p.last {
				rest = append(rest, p)
				continue
			}
			if o.first > p.first {
				rest = append(rest, span{p.first, o.first - 1})
			}
			if o.last < p.last {
				rest = append(rest, span{o.last + 1, p.last})
			}
		}
		parts = rest
	}
	return parts
}

// one checks the record with a number: of several, the one that follows the record before.
func (v *verifier) one(name string, variants [][]byte) {
	if len(variants) == 0 {
		return
	}
	chosen := 0
	for i, line := range variants {
		l, ok := record.LinkOf(line)
		if ok && l.Prev == v.last && v.chain.Sum(l.Text) == l.Hash {
			chosen = i
			break
		}
	}
	v.check(name, variants[chosen])
	if len(variants) > 1 {
		v.broken("%s: seq %d is there with different content: "+
			"two hosts have the same name, or it was altered", name, v.Last)
	}
}
