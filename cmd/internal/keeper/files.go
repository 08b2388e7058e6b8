//go:build linux

package keeper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/message"
)

// Files of the host are the keeper's to open: a router that has one opens none once packets come.
// It has read them itself before. The keeper looks every second whether they are others, and sends
// these; /etc/hosts it sends with each reload.

// lookAtFiles is how often the keeper looks.
const lookAtFiles = time.Second

// hostFile is one whose changes are followed.
type hostFile struct {
	path string
	last os.FileInfo // nil = there was none
}

// changed reports whether the file is another than the last time, or has been written.
func (f *hostFile) changed() bool {
	last := f.last
	now := f.look()
	switch {
	case last == nil || now == nil:
		return last != nil || now != nil
	case !os.SameFile(last, now):
		return true
	}
	return !now.ModTime().Equal(last.ModTime()) || now.Size() != last.Size()
}

func (f *hostFile) look() os.FileInfo {
	f.last = nil
	if now, err := os.Stat(f.path); err == nil {
		f.last = now
	}
	return f.last
}

// tellFiles tells routers of files that have changed, until ctx ends.
func (k *keeper) tellFiles(ctx context.Context) {
	passwd := hostFile{path: hostfile.PasswdPath}
	passwd.look()
	nameservers := hostfile.Nameservers()
	tick := time.NewTicker(lookAtFiles)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if passwd.changed() {
			_ = k.sendFile(message.Order{Passwd: true}, hostfile.PasswdPath)
		}
		if now := hostfile.Nameservers(); !slices.Equal(now, nameservers) {
			nameservers = now
			_ = k.router.Load().send(message.Order{Nameservers: &now})
		}
	}
}

// sendFile sends an order with a file, or without one that there is not.
func (k *keeper) sendFile(o message.Order, path string) error {
	f, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.log.WithError(err).Warn("the router goes on with the file as it was")
			return nil
		}
		return k.router.Load().send(o)
	}
	defer f.Close()
	return k.router.Load().send(o, f)
}
