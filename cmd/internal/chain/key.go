package chain

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// Load returns the chain of a log, with the key in keyFile unless that is "".
func Load(keyFile string) (*record.Chain, error) {
	if keyFile == "" {
		return record.NewChain(nil), nil
	}
	key, err := ReadKey(keyFile)
	if err != nil {
		return nil, err
	}
	return record.NewChain(key), nil
}

// KeyOf returns the key of a router, as the file of its key has it, of a fleet of which one key,
// the master, is known: the HMAC-SHA-256 of the router's name, in hex.
func KeyOf(master []byte, router string) []byte {
	mac := hmac.New(sha256.New, master)
	mac.Write([]byte(router))
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// ReadKey reads the file of a key.
func ReadKey(file string) ([]byte, error) {
	key, err := readKey(file)
	if err != nil {
		err = fmt.Errorf("read key %s: %w", file, logfile.Cause(err))
		if hint.Of(err) == "" {
			err = hint.Fail(err, "make one with: (umask 077; openssl rand -hex 32 > FILE)")
		}
		return nil, err
	}
	return key, nil
}

// Sizes of a key in bytes: the least that cannot be guessed, and more than any key file has.
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
		return nil, hint.Fail(errors.New("it is open to every user"), "chmod o= "+file)
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
