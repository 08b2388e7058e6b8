//go:build linux

package gate

import (
	"encoding/binary"
	"sync"

	"syntap/stack/inspect"
	"syntap/stack/peek"
	"syntap/stack/resolver"
	tunflow "syntap/tun/flow"
)

// maxQuery is the length in bytes of the longest DNS query that policy lets pass over TCP. It fits
// the smallest receive buffer, and any name with EDNS options and padding (RFC 8467 §4.1).
const maxQuery = 768

// MaxResponses is the largest number of responses that wait. Further queries stay in netstack until
// the client reads.
const MaxResponses = 8

// Queries has the responses to queries that policy forbids, until the inbound direction can write
// them between those of the server.
type Queries struct {
	cleared int // bytes at the front of netstack's queue that may pass

	mu      sync.Mutex
	waiting [][]byte // behind their lengths

	// Of the server's stream, owned by the inbound direction.
	prefix []byte // bytes of a length that has not come whole
	rest   int    // bytes still to come of a message
}

// passQuery decides on the DNS message at the front of the queue.
func (t *Gate) passQuery(g *peek.Views, all bool, p Policy) (Verdict, *tunflow.DNS, int) {
	const prefix = 2
	b := g.Join(nil, g.Size, prefix+maxQuery)
	size := 0
	if len(b) >= prefix {
		size = int(binary.BigEndian.Uint16(b))
	}
	incomplete := len(b) < prefix || len(b) < prefix+size
	if size > maxQuery || incomplete && (all || g.Full() || t.isLate()) {
		return Forbid, nil, 0
	}
	if incomplete {
		return Wait, nil, 0
	}
	t.EndWait()
	m, ok := inspect.DNS(b[prefix : prefix+size])
	if !ok || m.Response {
		return Forbid, nil, 0
	}
	if !p.Denies(m) {
		t.Queries.cleared = prefix + size
		return Pass, nil, 0
	}
	response := resolver.Blocked(b[prefix : prefix+size])
	if response == nil {
		return Forbid, nil, 0
	}
	if !t.Queries.add(response) {
		return Full, nil, 0
	}
	return Answered, m, prefix + size
}

// add adds a response, and reports whether there was room.
func (q *Queries) add(response []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == MaxResponses {
		return false
	}
	length := binary.BigEndian.AppendUint16(nil, uint16(len(response)))
	q.waiting = append(q.waiting, append(length, response...))
	return true
}

// Next returns the next response behind its length if it may be written now, else nil.
func (q *Queries) Next() []byte {
	if q.rest > 0 || len(q.prefix) > 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	first := q.waiting[0]
	q.waiting = q.waiting[1:]
	return first
}

// Follow notes bytes of the server.
func (q *Queries) Follow(data []byte) {
	for len(data) > 0 {
		if q.rest > 0 {
			n := min(q.rest, len(data))
			q.rest, data = q.rest-n, data[n:]
			continue
		}
		q.prefix, data = append(q.prefix, data[0]), data[1:]
		if len(q.prefix) == 2 {
			q.rest, q.prefix = int(binary.BigEndian.Uint16(q.prefix)), nil
		}
	}
}
