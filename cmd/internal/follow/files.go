package follow

import (
	"cmp"
	"slices"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// rotated lists the rotated files of a log, the oldest first: this program's, and those that others
// have renamed, such as logrotate.
func rotated(path string) ([]string, error) {
	for {
		files, err := listed(path)
		if err != nil {
			return nil, err
		}
		now, err := listed(path)
		if err != nil || slices.Equal(files, now) {
			return files, err
		} // else some were renamed, compressed or removed meanwhile: a list may lack them
	}
}

// listed is one look at the directory.
func listed(path string) ([]string, error) {
	files, err := logfile.Files(path)
	if err != nil {
		return nil, err
	}
	files = files[:len(files)-1]
	all, err := logfile.Before(path)
	if err != nil || len(all) == len(files) {
		return files, err
	}
	first := make(map[string]uint64)
	for _, file := range all {
		if seq, err := record.FirstSeq(file); err == nil && seq > 0 { // else it is no log, or a damaged one
			first[file] = seq
		}
	}
	all = slices.DeleteFunc(all, func(file string) bool { return first[file] == 0 })
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	return all, nil
}
