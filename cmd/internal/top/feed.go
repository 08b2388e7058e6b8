package top

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/web"
)

// kept is the number of connections in memory.
const kept = 5000

// feed holds the records and the status that have come since the model last took them.
type feed struct {
	mu      sync.Mutex // guards all below
	records []arrival  // the oldest first
	lost    uint64     // records that have not come
	run     string     // of the router, from the last record on
	begun   bool       // a record of the run has come
	status  web.Status
	err     error     // of the connection; nil = it stands
	since   time.Time // of err
}

// arrival is a record as it has come.
type arrival struct {
	record *format.Record
	text   []byte
}

// update is the content of a feed.
type update struct {
	records []arrival
	lost    uint64
	run     string
	status  web.Status
	err     error
	since   time.Time
}

func (f *feed) take() update {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := update{f.records, f.lost, f.run, f.status, f.err, f.since}
	f.records, f.lost = nil, 0
	return n
}

func (f *feed) set(update func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	update()
}

// fail notes the state of the connection.
func (f *feed) fail(err error) {
	f.set(func() {
		if err != nil && f.err == nil {
			f.since = time.Now()
		}
		f.err = err
	})
}

// event takes an event of the router.
func (f *feed) event(e web.Event, decoder *format.Decoder) {
	switch e.Kind {
	case "lost":
		var missing struct{ Lost uint64 }
		_ = json.Unmarshal(e.Data, &missing) // a malformed number is not counted
		f.set(func() {
			if f.begun { // else the router keeps them no longer
				f.lost += missing.Lost
			}
		})
	case "message":
		f.message(e.Data, decoder)
	}
}

// message takes a record.
func (f *feed) message(line []byte, decoder *format.Decoder) {
	r := new(format.Record)
	if decoder.Decode(line, r) == record.None || r.OfNoConnection() || r.Type == format.Other {
		return
	}
	a := arrival{r, bytes.Clone(line)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records, f.begun = append(f.records, a), true
	if extra := len(f.records) - 4*kept; extra > 0 {
		f.records, f.lost = f.records[extra:], f.lost+uint64(extra)
	}
}

// begin starts anew for another run: the router sends the records that it keeps of earlier ones
// again.
func (f *feed) begin(run string) {
	f.set(func() { f.run, f.begun, f.records, f.lost = run, false, nil, 0 })
}

// follow reads the router's records, and connects again when the connection has ended.
func (f *feed) follow(ctx context.Context, client *web.Client) {
	var last uint64
	var run string
	decoder := format.Decoder{Brief: true}
	for ctx.Err() == nil {
		err := client.Connections(ctx, run, last, func(e web.Event) {
			if e.Kind == "run" {
				var present struct {
					ID string `json:"run_id"`
				}
				if json.Unmarshal(e.Data, &present) == nil && (present.ID != run || run == "") {
					run, last = present.ID, 0
					f.begin(run)
				}
			}
			if e.ID > 0 {
				last = e.ID
			}
			f.event(e, &decoder)
		})
		f.fail(err)
		pause(ctx)
	}
}

// ask requests the router's status once a second.
func (f *feed) ask(ctx context.Context, client *web.Client) {
	for ctx.Err() == nil {
		status, err := client.Status(ctx)
		f.fail(err)
		if err == nil {
			f.set(func() { f.status = status })
		}
		pause(ctx)
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
}
