//go:build linux

package router

import (
	"errors"
	"os"
	"sync/atomic"

	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/owner"
)

// searches are those of the keeper for owners: a router may not look at other users' processes.
type searches struct {
	log    *remote.Log // which questions and answers go by
	lacks  []string
	remote atomic.Pointer[owner.Remote] // that has them made; nil = none yet
}

var errNoSearches = errors.New("the keeper does not look for them")

// begin returns the finder that has the keeper search. It knows the names of users. s and n are nil
// where the keeper does not search.
func (s *searches) begin(n *owner.Network) (*owner.Remote, error) {
	if s == nil || n == nil {
		return nil, errNoSearches
	}
	r, err := owner.NewRemote(n, s.log.Ask, s.lacks)
	if err != nil {
		return nil, err
	}
	s.log.OnAnswered(r.Take, r.Leave)
	s.log.OnSearched(func(result uint8) { r.Answered(owner.Result(result)) })
	s.remote.Store(r)
	if f, err := os.Open(hostfile.PasswdPath); err == nil { // else users have no names
		r.SetUsers(f)
		_ = f.Close()
	}
	return r, nil
}
