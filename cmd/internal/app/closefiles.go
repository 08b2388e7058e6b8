//go:build linux

package app

import "os"

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
