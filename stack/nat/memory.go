//go:build linux

package nat

import (
	"sync/atomic"

	"syntap/stack/nat/hostsock"
	"syntap/stack/sockmem"
)

// The charges of a mapping, in bytes. fixed and named are guarded by mapping.mu; queued is changed
// by the poller, which holds mapping.mu for reading, and by close.
const (
	// mappingMemory is fixed: a mapping that holds no datagram. Measured for 10,000 of them: 1.5
	// KiB of Go's heap, 3 KiB of the kernel's socket, inode, dentry, file and epoll item.
	mappingMemory = 5 << 10

	// namesMemory is named: maxNames names, of which the first fewNames are in mappingMemory.
	namesMemory = 33 << 10

	// littleQueued is how many bytes may wait in a socket at no charge, when its turn ends.
	littleQueued = 64 << 10
)

// TakeMemory charges the client of a mapping for n bytes, or returns the counter of the limit that
// is reached.
func (m *mapping) TakeMemory(n int64) (full *atomic.Uint64) {
	if full = m.nat.router.TakeMemory(m.Client.Addr(), m.IsLocal, n); full == nil {
		m.nat.stats.Memory.Add(n)
	}
	return full
}

// GiveMemory ends a charge of n bytes.
func (m *mapping) GiveMemory(n int64) {
	m.nat.stats.Memory.Add(-n)
	m.nat.router.GiveMemory(m.Client.Addr(), m.IsLocal, n)
}

// take charges a mapping for n bytes, or returns the counter of the limit that is reached.
func (m *mapping) take(charge *int64, n int64) (full *atomic.Uint64) {
	if full = m.TakeMemory(n); full == nil {
		*charge = n
	}
	return full
}

// give ends a charge.
func (m *mapping) give(charge *int64) {
	if n := *charge; n > 0 {
		*charge = 0
		m.GiveMemory(n)
	}
}

// weigh charges a mapping for the datagrams that wait in its socket after a turn of the poller. If
// they do not fit into the limits, the socket's buffer is made small until settle, so that the
// kernel drops later ones. The caller is the poller and holds mu for reading.
func (m *mapping) weigh(fd int) {
	m.give(&m.queued)
	info := sockmem.Of(fd)
	n := int64(info.Received) + int64(info.Backlog)
	if m.heavy = n > littleQueued; m.heavy && m.take(&m.queued, n) != nil {
		m.curbed = true
		sockmem.SetReceiveBuffer(fd, littleQueued/2) // the kernel doubles it
	}
}

// settle ends the effects of weigh, for a socket that has been read until it was empty.
func (m *mapping) settle() {
	if !m.heavy && !m.curbed {
		return
	}
	m.heavy = false
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.give(&m.queued)
	if fd := m.FD(); m.curbed && fd >= 0 {
		m.curbed = false
		sockmem.SetReceiveBuffer(fd, hostsock.BufferSize)
	}
}
