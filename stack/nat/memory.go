//go:build linux

package nat

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
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

// take charges a mapping for n bytes, or returns the counter of the limit that is reached.
func (m *mapping) take(charge *int64, n int64) (full *atomic.Uint64) {
	if full = m.router.TakeMemory(m.key.client.Addr(), m.isLocal, n); full == nil {
		*charge = n
		m.stats.Memory.Add(n)
	}
	return full
}

// give ends a charge.
func (m *mapping) give(charge *int64) {
	if n := *charge; n > 0 {
		*charge = 0
		m.stats.Memory.Add(-n)
		m.router.GiveMemory(m.key.client.Addr(), m.isLocal, n)
	}
}

// weigh charges a mapping for the datagrams that wait in its socket after a turn of the poller. If
// they do not fit, the socket's buffer is made small, so that the kernel drops those that follow,
// until settle. The caller is the poller and holds mu for reading.
func (m *mapping) weigh() {
	m.give(&m.queued)
	info := m.memInfo()
	n := int64(info[memReceived]) + int64(info[memBacklog])
	if n > littleQueued && m.take(&m.queued, n) != nil {
		m.curbed = true
		m.setBuffer(receiveBuffer, littleQueued/2) // the kernel doubles it
	}
}

// settle ends the effects of weigh, for a socket that has been read until it was empty.
func (m *mapping) settle() {
	if m.queued == 0 && !m.curbed {
		return
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.give(&m.queued)
	if m.curbed && m.fd >= 0 {
		m.curbed = false
		m.setBuffer(receiveBuffer, socketBuffer)
	}
}

// buffer is a buffer of a socket: the options that set its size, past the host's limit and within.
type buffer struct{ force, set int }

var (
	receiveBuffer = buffer{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}
	sendBuffer    = buffer{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}
)

// setBuffer sets the size of a buffer as far as the host allows.
func (s *socket) setBuffer(b buffer, size int) {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, b.force, size) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, b.set, size)
	}
}
