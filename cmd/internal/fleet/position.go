package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"syntap/cmd/internal/logfile"
)

// Position says how far a log has been brought to its stores. It lies beside the log, in JSON.
type Position struct {
	Stores []Confirmed `json:"stores"`
}

// Confirmed is the place in a log up to which a store has all its records.
type Confirmed struct {
	URL    string `json:"url"`            // of the store
	Router string `json:"router"`         // its name there; "" in files of former versions: the present one
	Log    string `json:"log"`            // name of the log there
	Origin string `json:"origin"`         // its name before all forks
	Begin  uint64 `json:"begin"`          // seq of the first record under its names; 1, but after a fork, or as another router
	Seq    uint64 `json:"seq"`            // of the last record that is confirmed; 0 = none
	Hash   string `json:"hash,omitempty"` // SHA-256 of its line, in hex
}

// ReadPosition reads the position of a log. A log that has none has the zero value.
func ReadPosition(log string) (p Position, err error) {
	b, err := os.ReadFile(log + logfile.FleetSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		if err = json.Unmarshal(b, &p); err != nil {
			err = fmt.Errorf("%s: %w", log+logfile.FleetSuffix, err)
		}
	}
	return p, err
}

// Of returns the place of a store.
func (p *Position) Of(url string) (c Confirmed, ok bool) {
	i := slices.IndexFunc(p.Stores, func(c Confirmed) bool { return c.URL == url })
	if i < 0 {
		return Confirmed{URL: url}, false
	}
	return p.Stores[i], true
}

// positions keeps the position of a log in its file. It may be used by several goroutines.
type positions struct {
	path string // of the log

	mu  sync.Mutex
	now Position
}

// of returns the place of a store.
func (p *positions) of(url string) (Confirmed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.Of(url)
}

// put writes the place of a store: after a power cut the file has this one or the one before.
func (p *positions) put(c Confirmed) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	same := func(o Confirmed) bool { return o.URL == c.URL }
	if i := slices.IndexFunc(p.now.Stores, same); i >= 0 {
		p.now.Stores[i] = c
	} else {
		p.now.Stores = append(p.now.Stores, c)
	}
	b, err := json.Marshal(p.now)
	if err != nil {
		return err
	}
	return replace(p.path+logfile.FleetSuffix, append(b, '\n'))
}

// replace puts a file in the place of another.
func replace(path string, b []byte) error {
	next := path + ".tmp"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
