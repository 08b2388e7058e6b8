package top

import (
	"context"
	"sync"

	tea "charm.land/bubbletea/v2"

	"syntap/cmd/internal/format"
)

// Fleet is the source of the records of several routers.
type Fleet struct {
	Name string // for people

	// Follow calls next with each record, a line without its end, until next returns false or ctx
	// ends.
	Follow func(ctx context.Context, next func(line []byte) bool) error
}

// RunFleet shows the connections of a fleet, until the user quits or ctx ends.
func RunFleet(ctx context.Context, fleet Fleet, options ...tea.ProgramOption) error {
	following, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	f := &feed{}
	work.Go(func() { f.followFleet(following, &fleet) })
	_, err := tea.NewProgram(newFleetModel(f, fleet.Name), append(options, tea.WithContext(ctx))...).Run()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func newFleetModel(f *feed, name string) *model {
	m := newModel(f, f.status)
	m.fleet, m.name = true, name
	m.status.Handshakes = make(map[string]uint64)
	return m
}

// followFleet reads the records of a fleet, and starts again if their source fails.
func (f *feed) followFleet(ctx context.Context, fleet *Fleet) {
	decoder := format.Decoder{Brief: true}
	for ctx.Err() == nil {
		err := fleet.Follow(ctx, func(line []byte) bool {
			f.fail(nil)
			f.message(line, &decoder)
			return ctx.Err() == nil
		})
		f.fail(err)
		pause(ctx)
	}
}
