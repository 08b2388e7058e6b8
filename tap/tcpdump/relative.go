package tcpdump

import "net/netip"

// maxConversations bounds the table of a printer that does not say otherwise. A live tap meets more
// connections than any capture file.
const maxConversations = 1 << 16

// conversations remembers where the sequence numbers of each connection began. When the table is
// full, the connection that entered it first is forgotten: its next segment counts as its first one
// again.
type conversations struct {
	limit   int // 0: maxConversations; negative: none
	initial map[conversation]initial
	order   []conversation // as they entered; a ring when full
	oldest  int            // in order, when full
}

// conversation is a pair of endpoints, the lower one first.
type conversation struct{ low, high netip.AddrPort }

// initial holds the number that each side's are counted from.
type initial struct{ low, high uint32 }

// relative returns seq and ack of a segment with ACK as differences to the numbers the connection
// began with, and the number from which the peer's are counted. The first such segment of a
// connection, and every one with SYN, sets those numbers and keeps its own.
func (c *conversations) relative(src, dst netip.AddrPort, syn bool, seq, ack uint32) (
	fromStart, ackFromStart, peerStart uint32,
) {
	key, reverse := conversation{src, dst}, src.Compare(dst) > 0
	if reverse {
		key = conversation{dst, src}
	}
	first, known := c.initial[key]
	if known && !syn {
		own, peer := first.low, first.high
		if reverse {
			own, peer = peer, own
		}
		return seq - own, ack - peer, peer
	}
	if !known {
		c.admit(key)
	}
	first = initial{seq, ack - 1}
	if reverse {
		first = initial{ack - 1, seq}
	}
	c.initial[key] = first
	return seq, ack, ack - 1
}

// admit makes room for key.
func (c *conversations) admit(key conversation) {
	if c.initial == nil {
		c.initial = make(map[conversation]initial)
	}
	limit := c.limit
	if limit == 0 {
		limit = maxConversations
	}
	switch {
	case limit < 0:
	case len(c.order) < limit:
		c.order = append(c.order, key)
	default:
		delete(c.initial, c.order[c.oldest])
		c.order[c.oldest] = key
		c.oldest = (c.oldest + 1) % limit
	}
}
