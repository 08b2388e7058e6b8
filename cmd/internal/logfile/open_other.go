//go:build !unix

package logfile

import "io/fs"

// noFollow is a flag of unix systems.
const noFollow = 0

// deleted is for unix systems, where a file may be open that has no name.
func deleted(fs.FileInfo) bool { return false }
