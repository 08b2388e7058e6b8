package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"syntap/cmd/internal/hint"
)

// digest is a SHA-256, or an HMAC of that.
type digest [sha256.Size]byte

// parse reads a digest in hex.
func (d *digest) parse(s string) bool {
	n, err := hex.Decode(d[:], []byte(s))
	return err == nil && n == len(d)
}

// chain makes each record of a JSON log vouch for the one before it. Its format is in the package's
// documentation.
type chain struct {
	hash    hash.Hash
	keyed   bool
	last    digest // of the last record in the batch; zero = the chain begins
	written digest // of the last record that was written
}

// newChain returns a chain that is keyed if keyFile is not "".
func newChain(keyFile string) (*chain, error) {
	if keyFile == "" {
		return &chain{hash: sha256.New()}, nil
	}
	key, err := readKey(keyFile)
	if err != nil {
		return nil, hint.Fail(fmt.Errorf("read key %s: %w", keyFile, cause(err)), "make one with: (umask 077; openssl rand -hex 32 > FILE)")
	}
	return &chain{hash: hmac.New(sha256.New, key), keyed: true}, nil
}

// Sizes of a key in bytes: enough that nobody guesses it, and what no file that is one exceeds.
const (
	minKey = 16
	maxKey = 4096
)

func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, errors.New("it is open to every user")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, err
	}
	key := bytes.TrimRight(b, "\r\n") // of an editor
	if len(key) < minKey || len(b) > maxKey {
		return nil, fmt.Errorf("it has %d bytes, not %d to %d", len(key), minKey, maxKey)
	}
	return key, nil
}

// sum returns the digest of a record: of its text up to the member "hash".
func (c *chain) sum(text []byte) (d digest) {
	c.hash.Reset()
	c.hash.Write(text)
	c.hash.Sum(d[:0])
	return d
}

// append adds the members of the chain to the record o.
func (c *chain) append(o *object) {
	o.hex("prev", c.last[:])
	c.last = c.sum(o.b)
	o.hex("hash", c.last[:])
}

func (o *object) hex(key string, b []byte) {
	o.key(key)
	o.b = append(o.b, '"')
	o.b = hex.AppendEncode(o.b, b)
	o.b = append(o.b, '"')
}

// link is what a record says of the chain.
type link struct {
	text       []byte // what its digest is of
	prev, hash digest
}

// Members of a chained record as they stand at its end.
const (
	prevMember = `,"prev":"`
	hashMember = `,"hash":"`
	hexLength  = 2 * sha256.Size
)

// linkOf takes the end of a record, without its end of line, apart.
func linkOf(line []byte) (l link, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(`"}`))
	if !ok {
		return l, false
	}
	take := func(member string, d *digest) bool {
		at := len(rest) - hexLength
		if at < len(member) || string(rest[at-len(member):at]) != member {
			return false
		}
		n, err := hex.Decode(d[:], rest[at:])
		rest = rest[:at-len(member)]
		return err == nil && n == len(d)
	}
	if !take(hashMember, &l.hash) {
		return l, false
	}
	l.text = line[:len(rest)]
	if rest, ok = bytes.CutSuffix(rest, []byte(`"`)); !ok || !take(prevMember, &l.prev) {
		return l, false
	}
	return l, true
}
