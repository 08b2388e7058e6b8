//go:build linux

package keeper

import (
	"context"
	"errors"
	"io"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/shipping"
	"syntap/cmd/internal/host"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/ring"
)

// records is the log of a keeper, to which its routers send their records, and the fleet that
// brings it to stores outside.
type records struct {
	log   *audit.Log
	fleet *shipping.Fleet

	stop    context.CancelFunc // ends the log
	running context.Context    // until then
	ended   chan error         // holds the log's result
}

// openRecords opens the logs of a config.
func (k *keeper) openRecords(c *config.Config, stdout io.Writer) (err error) {
	fleet, err := shipping.New(c, k.log, k.sent.tally.Trust)
	if err != nil {
		return err
	}
	log, err := OpenLog(c, stdout, k.log, fleet)
	k.records = newRecords(log)
	k.records.fleet = fleet
	return err
}

// newRecords returns those of a log that no fleet brings anywhere.
func newRecords(log *audit.Log) *records {
	r := &records{log: log, ended: make(chan error, 1)}
	r.running, r.stop = context.WithCancel(context.Background())
	return r
}

// start has the log written.
func (r *records) start() {
	r.fleet.Start()
	go func() { r.ended <- r.log.Run(r.running) }()
}

// close returns the log's result when that has its last record, and the stores have all that they
// take at once.
func (r *records) close() error {
	r.stop()
	err := <-r.ended
	r.fleet.Stop()
	return err
}

// watch returns why the log has ended before ctx.
func (r *records) watch(ctx context.Context) error {
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-ctx.Done():
		return nil
	}
}

// writer returns the writer of the records of a router.
func (k *keeper) writer(end *ring.End) *remote.Writer {
	c := k.config.Load()
	o := remote.Options{
		Limit: mostOpen(c), Reload: k.reloadRecords, Serve: k.serveOwners, Search: k.search,
		Recent: k.page.recent(), Tally: k.sent.tally,
	}
	if k.command != nil {
		o.Said = k.command.hear
	}
	return remote.NewWriter(k.records.log, end, o)
}

var errNoFinder = errors.New("this process does not search for owners")

// serveOwners searches for the owners that a router asks for.
func (k *keeper) serveOwners(questions []byte, reply func(answer []byte)) error {
	if k.finder == nil {
		return errNoFinder
	}
	return k.finder.Serve(questions, reply)
}

// search searches for the owner that a router's question is about.
func (k *keeper) search(question []byte, done func(o *record.Owner, result uint8)) error {
	f := k.finder
	if f == nil {
		return errNoFinder
	}
	return f.Answer(question, func(s owner.Socket, p owner.Process, result owner.Result) {
		o := f.Owner(s, p)
		done(&o, uint8(result))
	})
}

// mostOpen returns the number of connections and flows whose end a router may owe. The ends of some
// are still on their way when others have their places.
func mostOpen(c *config.Config) int { return 2 * (c.Limits.TCPFlows + c.Limits.UDPFlows) }

var errNotAsked = errors.New("no other config is about to come into force")

// reloadRecords writes to the logs of the config that the router is about to take, and makes
// sockets as it says.
func (k *keeper) reloadRecords() error {
	c := k.next.Swap(nil)
	if c == nil {
		return errNotAsked
	}
	r := k.records
	shipping, err := r.fleet.Prepare(c)
	if err != nil {
		return err
	}
	if len(c.Tap.Log) == 0 {
		k.compareNoMore(host.NoLog) // before the router sends no more records
	}
	if err := r.log.Reload(r.running, c.Tap.Log); err != nil {
		return err
	}
	r.fleet.Replace(shipping)
	// Both come before the router has more sockets made, and more connections open.
	k.sockets.Load().SetSettings(k.socketSettings(c))
	k.router.Load().writer.SetLimit(mostOpen(c))
	return nil
}

// tellStores tells routers the state of the stores that the log is sent to, until ctx ends.
func (k *keeper) tellStores(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := k.records.fleet.Stats()
		if told || len(now) > 0 {
			_ = k.router.Load().send(message.Order{Stores: &message.Stores{Stats: now}})
		}
		told = len(now) > 0
	}
}
