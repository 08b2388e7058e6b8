package resend

import (
	"slices"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/tun/tuntest"
)

// TestRun: a store gets the records that it lacks, of those that it has confirmed and that are
// young enough, and no others.
func TestRun(t *testing.T) {
	t.Parallel()
	url := fleettest.StartVictoriaLogs(t).URL
	store, err := victorialogs.New(otlp.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const n, confirmed = 100, 90
	l := routerlog.New("gate", n, 1, routerlog.Start, nil)
	l.Put(t, store, slices.Concat(l.Lines[:10], l.Lines[12:40], l.Lines[45:80], l.Lines[85:confirmed]))
	tuntest.Wait(t, "the records", func() bool {
		runs, err := store.Has(t.Context(), l.ID(), fleet.Range{First: 1, Last: n})
		return err == nil && len(runs) == 4
	})
	var since time.Time // of the record with seq 30, or a bit later
	if _, r, ok := fleet.FieldsOf(nil).Append(nil, l.Lines[29]); ok {
		since = r.Time
	}
	o := Options{
		Path: l.File(t), ID: l.ID(), First: 1, Last: confirmed, Since: since, Fields: fleet.FieldsOf(nil), Wait: tuntest.Patience,
	}
	r, err := Run(t.Context(), store, o)
	if err != nil || r.Sent != 10 || r.Missing != 0 {
		t.Fatalf("%+v, %v, want 10 sent", r, err)
	}
	runs, err := store.Has(t.Context(), l.ID(), fleet.Range{First: 1, Last: n})
	want := []fleet.Run{{First: 1, Last: 10, Copies: 1}, {First: 13, Last: confirmed, Copies: 1}}
	if err != nil || !slices.Equal(runs, want) {
		t.Errorf("the store has %+v, %v, want %+v", runs, err, want)
	}
	if r, err = Run(t.Context(), store, o); err != nil || r.Sent != 0 {
		t.Errorf("once more: %+v, %v", r, err)
	}
}
