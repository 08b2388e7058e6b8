package top

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"syntap/cmd/internal/web"
)

// kept is how many records are held.
const kept = 5000

// feed holds the records and the status that have come since the model last took them.
type feed struct {
	mu      sync.Mutex // guards all below
	records []*row     // the oldest first
	lost    uint64     // records that have not come
	status  web.Status
	err     error // of the connection; nil = it stands
}

// update is the content of a feed.
type update struct {
	records []*row
	lost    uint64
	status  web.Status
	err     error
}

func (f *feed) take() update {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := update{f.records, f.lost, f.status, f.err}
	f.records, f.lost = nil, 0
	return n
}

func (f *feed) set(update func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	update()
}

// event takes an event of the router and returns the number of the record, if it is one.
func (f *feed) event(kind string, data []byte) (seq uint64, ok bool) {
	if kind == "lost" {
		var missing struct{ Lost uint64 }
		_ = json.Unmarshal(data, &missing) // a malformed number is not counted
		f.set(func() { f.lost += missing.Lost })
		return 0, false
	}
	r, err := parse(data)
	if err != nil {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, r)
	if extra := len(f.records) - kept; extra > 0 {
		f.records, f.lost = f.records[extra:], f.lost+uint64(extra)
	}
	return r.Seq, true
}

// follow reads the router's events, and connects again where the last connection has ended.
func (f *feed) follow(ctx context.Context, client *web.Client) {
	var last uint64
	for ctx.Err() == nil {
		err := client.Events(ctx, last, func(kind string, data []byte) {
			if seq, ok := f.event(kind, data); ok {
				last = seq // which begins again when the router does
			}
		})
		f.set(func() { f.err = err })
		pause(ctx)
	}
}

// ask requests the router's status once a second.
func (f *feed) ask(ctx context.Context, client *web.Client) {
	for ctx.Err() == nil {
		status, err := client.Status(ctx)
		f.set(func() {
			f.err = err
			if err == nil {
				f.status = status
			}
		})
		pause(ctx)
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}
