package record

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Digest is a SHA-256 digest, or an HMAC-SHA-256.
type Digest [sha256.Size]byte

// HexLength is the length of a digest in hex.
const HexLength = 2 * sha256.Size

// Parse reads a digest in hex and reports whether s is one.
func (d *Digest) Parse(s string) bool {
	if len(s) != HexLength {
		return false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return err == nil
}

// Chain links each record of a log to the one before it: prev is the hash of the record before,
// hash the digest of the record's own bytes up to the comma before that member.
type Chain struct {
	Last  Digest // of the last record; zero = the chain begins
	Keyed bool
	hash  hash.Hash
}

// NewChain returns a chain of HMACs with key; nil = of plain digests.
func NewChain(key []byte) *Chain {
	if key == nil {
		return &Chain{hash: sha256.New()}
	}
	return &Chain{hash: hmac.New(sha256.New, key), Keyed: true}
}

// Sum returns the digest of a text.
func (c *Chain) Sum(text []byte) (d Digest) {
	c.hash.Reset()
	c.hash.Write(text)
	c.hash.Sum(d[:0])
	return d
}

// Members of a chained record as they stand at its end.
const (
	prevMember = `,"prev":"`
	hashMember = `,"hash":"`
)

// append adds the members of the chain to the record that begins at from.
func (c *Chain) append(b []byte, from int) []byte {
	b = append(hex.AppendEncode(append(b, prevMember...), c.Last[:]), '"')
	c.Last = c.Sum(b[from:])
	return append(hex.AppendEncode(append(b, hashMember...), c.Last[:]), '"')
}

// Link is the part of a record that belongs to the chain.
type Link struct {
	Text       []byte // the bytes that Hash is the digest of
	Prev, Hash Digest
}

// LinkOf returns the link of a record, without its end of line; ok is false for a record that is
// not part of a chain.
func LinkOf(line []byte) (l Link, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(`"}`))
	if !ok {
		return l, false
	}
	take := func(member string, d *Digest) bool {
		at := len(rest) - HexLength
		if at < len(member) || string(rest[at-len(member):at]) != member {
			return false
		}
		_, err := hex.Decode(d[:], rest[at:])
		rest = rest[:at-len(member)]
		return err == nil
	}
	if !take(hashMember, &l.Hash) {
		return l, false
	}
	l.Text = line[:len(rest)]
	if rest, ok = bytes.CutSuffix(rest, []byte(`"`)); !ok || !take(prevMember, &l.Prev) {
		return l, false
	}
	return l, true
}
