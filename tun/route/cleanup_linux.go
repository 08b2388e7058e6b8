package route

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Cleanup undoes the steps of dead runs in the calling thread's network namespace, by the journals
// in stateDir. With crashed it leaves runs alone that stay closed after a crash: that is for a
// service manager, which is about to start the router again.
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
	return all, errors.Join(errs...)
}

func cleanUp(nl *handles, path string, crashed bool) ([]Cleaned, error) {
	j, err := lockJournal(path, 0)
	if errors.Is(err, ErrRunning) {
		_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), journalSuffix), "-")
		return []Cleaned{{Name: name, Running: true}}, nil
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
		all = append(all, Cleaned{Name: c.Name, Commands: commands})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || kept {
		return all, errors.Join(err, j.close())
	}
	return all, j.remove()
}
