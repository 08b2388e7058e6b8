package route

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is what Configure has changed. It ends with Close, which takes everything back, or with
// Abandon, which does not.
type Host struct {
	nl      *handles
	config  Config
	index   int        // of the interface
	journal *journal   // nil where there are no rules
	changes []*os.File // tell the watcher that the host's network has changed

	notices  []Notice          // of the last survey
	counted  map[string]uint64 // packets past the TUN that were told
	restored atomic.Uint64
	refused  atomic.Uint64 // packets past the TUN

	failpoint func(command string) error // asked before each step; nil outside of tests
}

// Configure brings the interface up and routes traffic into it, in the network namespace of the
// calling thread. Rules and routes that a dead run has left are taken over, so that no traffic
// slips by between the runs. On an error everything but the interface is as it was before; the
// interface is the caller's to close.
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

// newHost checks what it can without changing anything, and takes the journal.
func newHost(c Config, failpoint func(command string) error) (*Host, error) {
	if !hasIPv6() {
		c.Addresses, c.Include = only4(c.Addresses), only4(c.Include)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("route into %s: %w", c.Name, err)
	}
	h := &Host{config: c, failpoint: failpoint, counted: make(map[string]uint64)}
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
	if err := h.look(); err != nil {
		return errors.Join(err, h.cancelJournal())
	}
	return nil
}

// look reads what there is on the host, and checks that it leaves room for the router.
func (h *Host) look() (err error) {
	for _, dead := range h.dead() {
		h.config.Underlay.Enter = dead.Underlay.Enter
	}
	if h.config.Underlay, h.notices, err = survey(h.nl, h.config); err != nil {
		return err
	}
	if !h.config.ByRules {
		h.config.open, h.config.tracked = openFlows(), tracking()
	}
	return h.checkFree()
}

// dead returns the configs of dead runs that nobody has cleaned up after.
func (h *Host) dead() []Config {
	if h.journal == nil {
		return nil
	}
	return h.journal.runs
}

// checkFree returns an error when the table or the priorities hold what neither this run nor a dead
// one has made.
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

// checkTableName returns an error when there is an nftables table of the router's name that no dead
// run has made.
func (h *Host) checkTableName(dead []Config) error {
	name := h.config.tableName()
	if h.config.ByRules || slices.ContainsFunc(dead, func(c Config) bool { return !c.ByRules && c.hasRules() }) {
		return nil
	}
	if err := h.nl.openTables(); err != nil {
		return err
	}
	exists, err := h.nl.tables.Exists(name)
	if err == nil && exists {
		err = fmt.Errorf("%w: nftables table inet %s", ErrInUse, name)
	}
	return err
}

// configure makes all changes and returns those that it has made itself: with rules, what exists is
// a dead run's.
func (h *Host) configure() (added []step, err error) {
	if h.journal != nil {
		if err := h.journal.begin(h.config); err != nil {
			return nil, err
		}
	}
	steps := h.config.steps()
	for _, s := range steps {
		left := h.left(s)
		err := h.do(s.summary(), s.apply)
		switch {
		case err == nil && left: // and made what it is to be
		case err == nil:
			added = append(added, s)
		case !errors.Is(err, unix.EEXIST) || !h.config.hasRules():
			return added, err
		}
	}
	// What a dead run has left for another config than this one.
	for _, c := range h.dead() {
		for _, s := range slices.Backward(c.steps()) {
			same := func(t step) bool { return t.sameObject(s) }
			if s.undo == nil || slices.ContainsFunc(steps, same) {
				continue
			}
			if err := h.do(s.undoCommand(), s.undo); err != nil && !isGone(err) {
				return added, err
			}
		}
	}
	if len(h.dead()) > 0 { // what differs in its source only has passed for the same
		var failures []error
		err = h.repair(func(_ string, err error) { failures = append(failures, err) })
		err = errors.Join(append(failures, err)...)
	}
	return added, err
}

// left tells whether a dead run has left what a step makes.
func (h *Host) left(s step) bool {
	for _, c := range h.dead() {
		if s.id != "" && slices.ContainsFunc(c.steps(), s.sameObject) {
			return true
		}
	}
	return false
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

// rollBack takes back what configure has added before it failed. What a dead run has left stays.
func (h *Host) rollBack(added []step) error {
	_, err := h.undo(added)
	err = errors.Join(err, h.cancelJournal())
	h.release()
	return err
}

// undo takes steps back, last made first; those that are gone already do not matter. It returns the
// commands that would have done the same.
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

// Close takes everything back, last made first; what is gone already does not matter. The interface
// stays until its owner closes it. Close may be called from any thread, and again, but not during
// Watch.
func (h *Host) Close() error {
	if h.nl == nil {
		return nil
	}
	_, err := h.undo(h.config.steps())
	if err == nil && h.journal != nil {
		err = h.journal.remove()
		h.journal = nil
	}
	h.release()
	return err
}

// Abandon ends a run without taking anything back, as its death would: with Closed, what entered
// the TUN goes nowhere from the moment its interface is gone, until another run takes over or
// Cleanup is called.
func (h *Host) Abandon() { h.release() }

func (h *Host) cancelJournal() error {
	if h.journal == nil {
		return nil
	}
	err := h.journal.cancel()
	h.journal = nil
	return err
}

// release closes what is open.
func (h *Host) release() {
	if h.journal != nil {
		_ = h.journal.close() // nothing more to write
	}
	for _, f := range h.changes {
		f.Close()
	}
	if h.nl != nil {
		h.nl.close()
	}
	h.nl, h.journal, h.changes = nil, nil, nil
}

// dump asks for a list again when it has changed under the kernel's hands.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
