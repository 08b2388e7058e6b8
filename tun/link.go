package tun

import "time"

// Link moves whole IP frames between the host and the router: GSO packets of up to 64 KiB, not
// packets of MTU size.
//
// One goroutine reads; any number may write. Directions are named for the client: outbound frames
// come from ReadFrame, inbound frames go to WriteFrame.
type Link interface {
	// ReadFrame waits for the next outbound frame. It stores the frame in the buffers f.Head and
	// f.Body and fills f (Frame.Fill). The buffers stay the caller's. After Close the error is
	// os.ErrClosed; every other error is final too.
	ReadFrame(f *Frame) error
	// WriteFrame writes one inbound frame made of bufs; bufs[0] holds its whole IP and transport
	// header and may be rewritten by the link. Other buffers are only read. No buffer is kept after
	// the return.
	WriteFrame(off Offload, bufs [][]byte) error
	// MTU is the interface's MTU in bytes: the largest packet that a GSO packet may be cut into.
	MTU() int
	// Close ends ReadFrame and WriteFrame in every goroutine.
	Close() error
}

// IdleNotifier is a Link that can tell when it has nothing to read.
type IdleNotifier interface {
	// NotifyIdle has f called in ReadFrame before it waits, and reports whether it will be. It
	// comes before the first ReadFrame.
	NotifyIdle(f func()) bool
	// Idle reports whether every frame that was there to be read has been, and its reader has come
	// back for more since.
	Idle() bool
	// ReadUpTo returns a time. All frames that had come by then have been read, and the reader has
	// come back for more since. It is now if the link is idle; where it is too early, ask later. A
	// link that is always full does not hold it up.
	ReadUpTo() time.Time
}

// MaxQueues is the largest number of queues of a link.
const MaxQueues = 8

// MultiQueue is a Link with several queues. Frames of one flow come from one queue mostly, see the
// package's documentation; any queue takes frames to any client. The methods of the whole are those
// of its first queue, but that Close closes all.
type MultiQueue interface {
	Link
	// Queues returns all queues, the first among them. Each has a reader of its own.
	Queues() []Link
}

// Queues returns the queues of a link: that one alone where it is no MultiQueue.
func Queues(l Link) []Link {
	if m, ok := l.(MultiQueue); ok {
		return m.Queues()
	}
	return []Link{l}
}
