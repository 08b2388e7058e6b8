package route

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
)

// Cleanup undoes the steps of dead runs in the calling thread's network namespace, by the journals
// in stateDir, and deletes guards that have no run. With crashed it leaves runs alone that stay
// closed after a crash: that is for a service manager, which is about to start the router again.
func Cleanup(stateDir string, crashed bool) ([]Cleaned, error) {
	pattern, err := journalPath(stateDir, "*")
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("find journals: %w", err)
	}
	nl, err := openHandles()
	if err != nil {
		return nil, err
	}
	defer nl.close()
	var all []Cleaned
	var errs []error
	for _, path := range paths {
		cleaned, err := cleanUp(nl, path, crashed)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another cleanup has removed it
		}
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, cleaned...)
	}
	if !crashed {
		cleaned, err := cleanUpGuards(nl, stateDir)
		all, errs = append(all, cleaned...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// cleanUpGuards deletes the guards of runs whose journal is lost. One that a rule leads to stays:
// it still drops traffic, perhaps for a run with another directory of journals.
func cleanUpGuards(nl *handles, stateDir string) (all []Cleaned, err error) {
	// The list comes before the journals: a run writes its journal before it makes its guard.
	links, err := dump(nl.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	used, err := usedTables(nl, stateDir)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		c := Config{}
		name := l.Attrs().Name
		_, scanErr := fmt.Sscanf(name, "guard%d", &c.Table)
		isGuard := scanErr == nil && name == c.guard() && l.Attrs().Alias == guardAlias
		if !isGuard || slices.Contains(used, c.Table) {
			continue
		}
		if err := nl.LinkDel(l); err != nil && !isGone(err) {
			return all, fmt.Errorf("delete %s: %w", name, err)
		}
		all = append(all, Cleaned{Name: name, Commands: []string{"ip link del dev " + name}})
	}
	return all, nil
}

// usedTables returns the routing tables that rules lead to or journals name.
func usedTables(nl *handles, stateDir string) (tables []int, err error) {
	for _, c := range journaled(stateDir) {
		tables = append(tables, c.Table)
	}
	for _, family := range allFamilies() {
		rules, err := dump(func() ([]netlink.Rule, error) { return nl.RuleList(family) })
		if err != nil {
			return nil, fmt.Errorf("list %s rules: %w", familyName(family), err)
		}
		for _, r := range rules {
			tables = append(tables, r.Table)
		}
	}
	return tables, nil
}

func cleanUp(nl *handles, path string, crashed bool) ([]Cleaned, error) {
	j, err := lockJournal(path, 0)
	if errors.Is(err, ErrRunning) {
		return []Cleaned{{Name: interfaceOf(path), Running: true}}, nil
	} else if err != nil {
		return nil, err
	}
	var all []Cleaned
	var errs []error
	kept := false
	for _, c := range j.runs {
		if crashed && c.Closed {
			kept = true
			all = append(all, Cleaned{Name: c.Name, Kept: true})
			continue
		}
		commands, err := (&Host{nl: nl}).undo(c.steps())
		all = append(all, Cleaned{Name: c.Name, Commands: commands, Failed: err != nil})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || kept {
		return all, errors.Join(err, j.close())
	}
	return all, j.remove()
}

// CleanupAs undoes the changes that a run with the config c makes, and those of its interface's
// journal as far as that can be read, and removes the journal. It is for a journal that is damaged
// or lost. The error wraps ErrRunning where the run is alive.
func CleanupAs(c Config) (cleaned Cleaned, err error) {
	if !hasIPv6() {
		c.Addresses, c.Include = only4(c.Addresses), only4(c.Include)
	}
	cleaned.Name = c.Name
	if err := c.validate(); err != nil || !c.hasRules() {
		return cleaned, err
	}
	nl, err := openHandles()
	if err != nil {
		return cleaned, err
	}
	defer nl.close()
	if _, err := nl.LinkByName(c.Name); err == nil {
		return cleaned, fmt.Errorf("interface %s: %w", c.Name, ErrRunning) // in another directory
	}
	path, err := journalPath(c.StateDir, c.Name)
	if err != nil {
		return cleaned, err
	}
	j, err := lockUnread(path, 0)
	switch {
	case err == nil:
		defer j.close() //nolint:errcheck // nothing is left to write
		_ = j.read()    // the rest is that of c
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrJournal):
		j = &journal{}
	default:
		return cleaned, err
	}
	for _, dead := range j.runs {
		c.Underlay.Enter, c.Underlay.Pings = dead.Underlay.Enter, dead.Underlay.Pings
	}
	h := &Host{nl: nl, config: c}
	if h.config.Underlay, _, err = survey(nl, c); err != nil {
		return cleaned, err
	}
	if err := h.checkTableName(j.runs); err != nil {
		return cleaned, err
	}
	for _, run := range append(j.runs, h.config) {
		commands, err := h.undo(run.steps())
		cleaned.Commands = append(cleaned.Commands, commands...)
		if err != nil {
			return cleaned, err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cleaned, fmt.Errorf("remove journal: %w", err)
	}
	return cleaned, nil
}
