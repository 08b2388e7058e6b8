package route

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host holds the changes that Configure has made. Close undoes them; Abandon leaves them in place.
type Host struct {
	nl      *handles
	config  Config
	index   int        // of the interface
	journal *journal   // nil if there are no rules
	changes []*os.File // become readable when the host's network has changed

	left     []step            // of former underlays, which could not be undone yet
	notices  []Notice          // of the last survey
	standing []Notice          // of them, those that are not about rules and routes
	seen     []Notice          // such ones at the last reading, also those that may not last
	readNext time.Time         // when to read standing again
	stale    bool              // the host has changed since standing was read
	counted  map[string]uint64 // packets past the TUN that Report.Past has had
	restored atomic.Uint64
	refused  atomic.Uint64 // packets past the TUN
	refuse   atomic.Bool   // new flows of the router's own sockets
	asked    chan struct{} // has one when Watch is to look at refuse
	sameMark atomic.Bool   // another router has had the mark of this one

	failpoint func(command string) error // called before each step; nil outside of tests
}

// Configure brings the interface up and routes traffic into it, in the network namespace of the
// calling thread. It takes over the rules and routes of a dead run, so that no packet slips by
// between the runs. After an error the host is as it was before, except the interface, which the
// caller closes, and a step that cannot be undone, which Cleanup knows.
func Configure(c Config) (*Host, error) {
	h, err := newHost(c, nil)
	if err != nil {
		return nil, err
	}
	added, err := h.configure()
	if err != nil {
		return nil, errors.Join(err, h.rollBack(added))
	}
	return h, nil
}

// newHost makes all checks that need no change of the host, and locks the journal.
func newHost(c Config, failpoint func(command string) error) (*Host, error) {
	if !hasIPv6() {
		c.Addresses, c.Include = only4(c.Addresses), only4(c.Include)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("route into %s: %w", c.Name, err)
	}
	h := &Host{
		config: c, failpoint: failpoint, counted: make(map[string]uint64),
		asked: make(chan struct{}, 1), stale: true,
	}
	if err := h.open(); err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

func (h *Host) open() (err error) {
	c := h.config
	if h.nl, err = openHandles(); err != nil {
		return err
	}
	link, err := h.nl.LinkByName(c.Name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", c.Name, err)
	}
	h.index = link.Attrs().Index
	if !c.hasRules() {
		return nil
	}
	if err := checkLinkdown(c); err != nil {
		return err
	}
	if h.changes, err = subscribe(); err != nil {
		return err
	}
	if c.StateDir != "" {
		if h.journal, err = openJournal(c.StateDir, c.Name); err != nil {
			return err
		}
	}
	if err := h.survey(); err != nil {
		return errors.Join(err, h.cancelJournal())
	}
	return nil
}

// survey reads the host's routing, and checks that it leaves room for the router.
func (h *Host) survey() (err error) {
	for _, dead := range h.dead() {
		h.config.Underlay.Enter, h.config.Underlay.Pings = dead.Underlay.Enter, dead.Underlay.Pings
		if dead.Priority == h.config.Priority {
			h.config.Underlay.Priority = dead.Underlay.Priority
		}
	}
	if h.config.Underlay, h.notices, err = survey(h.nl, h.config); err != nil {
		return err
	}
	h.noteSameMark()
	if !h.config.ByRules {
		h.config.tracked = trackedNow()
	}
	return h.checkFree()
}

// dead returns the configs of dead runs that have not been cleaned up.
func (h *Host) dead() []Config {
	if h.journal == nil {
		return nil
	}
	return h.journal.runs
}

// checkFree returns an error if the table or the priorities hold a rule or a route that neither
// this run nor a dead one has made.
func (h *Host) checkFree() error {
	known := append([]Config{h.config}, h.dead()...)
	for _, family := range allFamilies() {
		if err := checkTable(h.nl, h.config, known, family); err != nil {
			return err
		}
		if err := checkRules(h.nl, h.config, known, family); err != nil {
			return err
		}
	}
	return h.checkTableName(known[1:])
}

// checkTableName returns an error if there is an nftables table of the router's name that no dead
// run has made. One whose journal is lost, such as that of a container in the host's network, is
// known by its chains: no run is alive that has this interface.
func (h *Host) checkTableName(dead []Config) error {
	name := h.config.tableName()
	hasTable := func(c Config) bool { return !c.ByRules && c.hasRules() }
	if h.config.ByRules || slices.ContainsFunc(dead, hasTable) {
		return nil
	}
	if err := h.nl.openTables(); err != nil {
		return err
	}
	exists, err := h.nl.tables.Exists(name)
	if err != nil || !exists {
		return err
	}
	isRouters, err := h.nl.tables.HasChains(steeringTable(Config{
		Name: h.config.Name, Mark: h.config.Mark, Enforce: EnforceOff, Underlay: Underlay{Enter: 1},
	}))
	if err == nil && !isRouters {
		err = &InUseError{By: "nftables table inet " + name}
	}
	return err
}

// configure makes all steps and returns those that were not made before. With rules, a step that
// was made before is a dead run's.
func (h *Host) configure() (added []step, err error) {
	if h.journal != nil {
		if err := h.journal.begin(h.config); err != nil {
			return nil, err
		}
	}
	steps := h.config.steps()
	for _, s := range steps {
		replaces := h.replacesDead(s)
		err := h.do(s.summary(), s.apply)
		switch {
		case err == nil && replaces: // rollBack must not undo it
		case err == nil:
			added = append(added, s)
		case errors.Is(err, errIsSet):
		case !errors.Is(err, unix.EEXIST) || !h.config.hasRules():
			return added, err
		}
	}
	for _, c := range h.dead() {
		fail := func(_ step, err error) error { return err }
		if err := h.undoOthers(c.steps(), steps, fail); err != nil {
			return added, err
		}
	}
	if len(h.dead()) > 0 { // a route that differs in its source only compared equal above
		var failures []error
		err = h.repair(func(_ string, err error) { failures = append(failures, err) })
		err = errors.Join(append(failures, err)...)
	}
	return added, err
}

// replacesDead reports whether a step makes an object in place of a dead run's.
func (h *Host) replacesDead(s step) bool {
	return s.id != "" && slices.ContainsFunc(h.dead(), func(c Config) bool {
		return slices.ContainsFunc(c.steps(), s.sameObject)
	})
}

// undoOthers undoes the old steps that make other objects than the new ones, the last one first. An
// error that failed returns ends it.
func (h *Host) undoOthers(old, steps []step, failed func(s step, err error) error) error {
	for _, s := range slices.Backward(old) {
		if s.undo == nil || slices.ContainsFunc(steps, s.sameObject) {
			continue
		}
		if err := h.do(s.undoCommand(), s.undo); err != nil && !isGone(err) {
			if err := failed(s, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// do makes one change.
func (h *Host) do(command string, change func(*handles) error) error {
	if h.failpoint != nil {
		if err := h.failpoint(command); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	if err := change(h.nl); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// rollBack undoes the steps that configure has added before it failed. Those of a dead run stay. If
// one cannot be undone the journal stays, for Cleanup and the next run.
func (h *Host) rollBack(added []step) error {
	_, err := h.undo(slices.Concat(added, h.left))
	if err == nil {
		err = h.cancelJournal()
	}
	h.release()
	return err
}

// undo undoes steps, the last one first, and passes over objects that are gone. It returns the
// equivalent commands.
func (h *Host) undo(steps []step) (commands []string, err error) {
	var errs []error
	for _, s := range slices.Backward(steps) {
		if s.undo == nil {
			continue
		}
		switch err := h.do(s.undoCommand(), s.undo); {
		case err == nil:
			commands = append(commands, s.undoCommand())
		case !isGone(err):
			errs = append(errs, err)
		}
	}
	return commands, errors.Join(errs...)
}

// Close undoes all steps, the last one first, and passes over objects that are gone. The interface
// stays until its owner closes it. Close may be called on any thread and more than once, but not
// during Watch.
func (h *Host) Close() error {
	if h.nl == nil {
		return nil
	}
	_, err := h.undo(slices.Concat(h.config.steps(), h.left))
	if err == nil && h.journal != nil {
		err = h.journal.remove()
		h.journal = nil
	}
	h.release()
	return err
}

// TookOver reports whether Configure has taken over what a dead run had left.
func (h *Host) TookOver() bool { return len(h.dead()) > 0 }

// Hold returns a file for another process. The next run of this interface waits until that has
// ended ([Await]). It is nil where there are no rules, and so no journal.
func (h *Host) Hold() (*os.File, error) {
	if h.journal == nil {
		return nil, nil
	}
	return h.journal.hold()
}

// Await waits, up to patience, for the processes that a dead run of an interface has left: the
// kernel ends them, which takes a moment. It does not wait for a run that is alive.
func Await(stateDir, name string, patience time.Duration) error {
	if stateDir == "" {
		return nil
	}
	path, err := journalPath(stateDir, name)
	if err != nil {
		return err
	}
	return await(path, patience)
}

// Abandon ends a run as its death would, and undoes no step. With Closed, traffic for the TUN is
// dropped from the moment the interface is gone, until another run takes over or Cleanup is called.
func (h *Host) Abandon() { h.release() }

func (h *Host) cancelJournal() error {
	if h.journal == nil {
		return nil
	}
	err := h.journal.cancel()
	h.journal = nil
	return err
}

// release closes all files and sockets.
func (h *Host) release() {
	if h.journal != nil {
		_ = h.journal.close() // nothing is left to write
	}
	for _, f := range h.changes {
		f.Close()
	}
	if h.nl != nil {
		h.nl.close()
	}
	h.nl, h.journal, h.changes = nil, nil, nil
}

// dump repeats a listing that a change of the list has interrupted, after pauses that grow.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for i := range 10 {
		time.Sleep(time.Duration(i) * 10 * time.Millisecond)
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
