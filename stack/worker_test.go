//go:build linux

package stack

import "testing"

// Beside something quick, what moves much does so in small pieces, and uploads give way, too.
func TestGiveWay(t *testing.T) {
	t.Parallel()
	s := &Stack{queue: newRunQueue(1)}
	w := s.newWorker(newPause())
	defer w.pause.close()
	busy, interactive := newFlow(s, flowKey{}, 0, nil), newFlow(s, flowKey{}, 0, nil)
	upload, download := &busy.outbound, &busy.inbound

	s.queue.push(&interactive.outbound)
	if w.giveWay(upload, 10*slice) {
		t.Error("an upload gives way without having kept anybody waiting")
	}
	if w.giveWay(download, slice-1) || !w.giveWay(download, 1) {
		t.Error("a download does not give way after a slice")
	}
	if w.slice() != slice || w.gatherBytes() <= slice {
		t.Errorf("alone: slices of %d, writes of %d bytes", w.slice(), w.gatherBytes())
	}

	if h, bulk := s.queue.pop(); h != &interactive.outbound || bulk {
		t.Fatal("the queue gave another half")
	}
	s.queue.push(&interactive.outbound)
	if !w.giveWay(upload, mixedSlice) || !w.giveWay(download, mixedSlice) {
		t.Error("no way given to something quick")
	}
	if w.slice() != mixedSlice || w.gatherBytes() != mixedSlice {
		t.Errorf("beside something quick: slices of %d, writes of %d bytes", w.slice(), w.gatherBytes())
	}

	s.queue.pop()
	for range mixedFor {
		if w.giveWay(upload, mixedSlice) {
			t.Fatal("way given to nobody")
		}
	}
	if w.giveWay(upload, mixedSlice); w.slice() != slice {
		t.Errorf("slices of %d long after the last quick one", w.slice())
	}
}
