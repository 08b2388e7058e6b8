//go:build linux

package stack

import "sync/atomic"

// memory is the budget that all connections share: what they hold in netstack, in our own buffers
// and in the kernel's sockets, in bytes. Each connection is charged
//
//   - flowMemory and its SYN for as long as it is in the table,
//   - a room: what its buffers can take, or what has been found in them when that is more
//     (weigh.go),
//   - and, for each direction in full swing, a large buffer (buffer.go).
//
// New connections have seven eighths of it. Flows that move may have an eighth whatever the others
// hold, so that stalled ones do not slow them down, and half of it at most.
type memory struct {
	limit atomic.Int64
	held  atomic.Int64 // charged
	lent  atomic.Int64 // of that, to flows that move
}

// flowMemory is what a connection takes that carries nothing: its flow, netstack's endpoint with
// its timers, the tap's entry, and the kernel's socket, file and epoll item. Measured; it is 11
// KiB.
const flowMemory = 11 << 10

// admit charges n bytes for a new connection, if there is room.
func (m *memory) admit(n int64) bool { return m.take(n, m.limit.Load()/8*7) }

// take charges n bytes if no more than so many are charged then.
func (m *memory) take(n, most int64) bool {
	if m.held.Add(n) <= most {
		return true
	}
	m.held.Add(-n)
	return false
}

// lend charges n bytes for a flow that moves, if there is room and half of the limit is not lent,
// or if no more than so many sixteenths of it are.
func (m *memory) lend(n, sixteenths int64) bool {
	held, lent := m.held.Add(n), m.lent.Add(n)
	if limit := m.limit.Load(); held <= limit && lent <= limit/2 || lent <= limit/16*sixteenths {
		return true
	}
	m.takeBack(n)
	return false
}

// takeBack ends what lend has begun.
func (m *memory) takeBack(n int64) {
	m.held.Add(-n)
	m.lent.Add(-n)
}

// cramped reports whether new connections begin with tight buffers.
func (m *memory) cramped() bool { return m.held.Load() > m.roomy() }

// roomy is how much may be charged before new connections begin with tight buffers.
func (m *memory) roomy() int64 { return m.limit.Load() / 2 }

// scarce reports whether what is not needed is to be given back at once.
func (m *memory) scarce() bool { return m.held.Load() > m.limit.Load()/4 }
