package logfile

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// stampLayout is the time of a rotation in the name of a file, in UTC. Names sort by time.
	stampLayout = "20060102T150405.000000Z"
	gzipSuffix  = ".gz"

	// unfinishedSuffix ends the name of a file that is being made: a compressed one, behind
	// gzipSuffix, or a FleetSuffix one.
	unfinishedSuffix = ".tmp"

	// HeadSuffix ends the name of the file that vouches for the end of a chained log.
	HeadSuffix = ".head"

	// FleetSuffix ends the name of the file that says how far a log has been sent to stores.
	FleetSuffix = ".fleet"

	// lockSuffix ends the name of the file, behind FleetSuffix, that [LockFleet] locks.
	lockSuffix = ".lock"
)

// names are the parts of a log's path that the names of its rotated files are made of.
type names struct{ dir, stem, ext string }

func namesOf(path string) names {
	dir, base := filepath.Split(path)
	ext := filepath.Ext(base)
	return names{filepath.Clean(dir + "."), strings.TrimSuffix(base, ext), ext}
}

// next returns the name of the file that is rotated now: later than all others, whatever the clock
// says.
func (n names) next(now time.Time) (string, error) {
	files, err := n.rotated()
	if err != nil {
		return "", err
	}
	stamp := now.UTC().Truncate(time.Microsecond)
	if last := len(files) - 1; last >= 0 && !stamp.After(files[last].stamp) {
		stamp = files[last].stamp.Add(time.Microsecond)
	}
	return filepath.Join(n.dir, n.stem+"-"+stamp.Format(stampLayout)+n.ext), nil
}

// rotatedFile is one file of a log that is not written to any more.
type rotatedFile struct {
	plain string // its path without the suffix of compression
	stamp time.Time
	paths []string // one, or two when compression was cut short
}

// rotated lists the rotated files, the oldest first.
func (n names) rotated() ([]rotatedFile, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return nil, fmt.Errorf("list rotated logs: %w", err)
	}
	var all []rotatedFile
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), gzipSuffix)
		stamp, ok := n.stamp(name)
		if !ok {
			continue
		}
		plain, path := filepath.Join(n.dir, name), filepath.Join(n.dir, e.Name())
		if last := len(all) - 1; last >= 0 && all[last].plain == plain { // ReadDir sorts
			all[last].paths = append(all[last].paths, path)
			continue
		}
		all = append(all, rotatedFile{plain: plain, stamp: stamp, paths: []string{path}})
	}
	return all, nil
}

// stamp reads the time in the name of a rotated file.
func (n names) stamp(name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, n.stem+"-")
	if ok {
		text, ok = strings.CutSuffix(text, n.ext)
	}
	if !ok {
		return time.Time{}, false
	}
	stamp, err := time.Parse(stampLayout, text)
	return stamp, err == nil
}

// Files lists the files of a log that this program has rotated, the oldest first, and the one that
// is written to.
func Files(path string) ([]string, error) {
	rotated, err := namesOf(path).rotated()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range rotated {
		all = append(all, f.paths[0]) // where both forms are there they hold the same
	}
	return append(all, path), nil
}

// Before lists the rotated files of a log, this program's and logrotate's, the last written first.
func Before(path string) ([]string, error) {
	n, base := namesOf(path), filepath.Base(path)
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return nil, err
	}
	type file struct {
		path    string
		written time.Time
	}
	var files []file
	for _, e := range entries {
		plain := strings.TrimSuffix(e.Name(), gzipSuffix)
		_, ours := n.stamp(plain)
		theirs := strings.HasPrefix(plain, base+".") || strings.HasPrefix(plain, base+"-")
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !ours && !theirs || IsSide(e.Name()) {
			continue
		}
		files = append(files, file{filepath.Join(n.dir, e.Name()), info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(b.written.Compare(a.written), cmp.Compare(b.path, a.path))
	})
	var all []string
	for _, f := range files {
		all = append(all, f.path)
	}
	return all, nil
}

// IsSide reports whether a file stands beside a log and is no part of it: the head that vouches for
// its end, those that say how far it has been sent, one that is being made.
func IsSide(path string) bool {
	for _, suffix := range []string{
		HeadSuffix, FleetSuffix, FleetSuffix + unfinishedSuffix, FleetSuffix + lockSuffix,
		gzipSuffix + unfinishedSuffix,
	} {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

var stamped = regexp.MustCompile(`-\d{8}T\d{6}\.\d{6}Z(\.[^.]*|)$`)

// LogOf returns the path of the log that a file, which may be a rotated one, belongs to.
func LogOf(path string) string {
	return stamped.ReplaceAllString(strings.TrimSuffix(path, gzipSuffix), "$1")
}
