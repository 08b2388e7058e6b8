//go:build linux

package stack

import (
	"iter"

	"syntap/tun"
)

// turn is a queue of a link whose queues take turns: each gets the next frame when the one before
// has been routed by the shard of another. So nearly no frame comes by the queue of its flow.
type turn struct {
	tun.Link
	all      []tun.Link
	mine     chan struct{} // holds a token when it is this queue's turn
	next     *turn
	finished bool // with the frame of its last turn
}

// takeTurns returns a link of several queues over one.
func takeTurns(link tun.Link, queues int) tun.Link {
	if queues == 1 {
		return link
	}
	first := &turn{Link: link, mine: make(chan struct{}, 1), finished: true}
	last, all := first, []tun.Link{first}
	for range queues - 1 {
		last.next = &turn{Link: link, mine: make(chan struct{}, 1), finished: true}
		last = last.next
		all = append(all, last)
	}
	last.next, first.all = first, all
	first.mine <- struct{}{}
	return first
}

// Queues implements tun.MultiQueue, of the first.
func (q *turn) Queues() []tun.Link { return q.all }

// ReadFrame implements tun.Link.
func (q *turn) ReadFrame(f *tun.Frame) error {
	if !q.finished {
		q.next.mine <- struct{}{}
	}
	<-q.mine
	q.finished = false
	err := q.Link.ReadFrame(f)
	if err != nil {
		q.finished = true
		q.next.mine <- struct{}{}
	}
	return err
}

// allConns returns the connections of all shards. Their locks are held.
func allConns(s *Stack) iter.Seq2[connKey, *conn] {
	return func(yield func(connKey, *conn) bool) {
		for _, s := range s.shards {
			for key, c := range s.conns {
				if !yield(key, c) {
					return
				}
			}
		}
	}
}
