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

// A router opens no file once packets come. It has read the host's files before. The keeper looks
// at them every second and sends those that have changed; it sends /etc/hosts with each reload.

// lookAtFiles is the time between two looks.
const lookAtFiles = time.Second

// hostFile is one whose changes are followed.
type hostFile struct {
	path string
	last os.FileInfo // nil = there was none
}

// changed reports whether the file is another than at the last look, or has been written.
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
	nameservers := k.nameservers()
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
		if now := k.nameservers(); !slices.Equal(now, nameservers) {
			nameservers = now
			_ = k.router.Load().send(message.Order{Nameservers: &now})
		}
	}
}

// sendFile sends an order with a file, or without it where there is none.
func (k *keeper) sendFile(o message.Order, path string) error {
	f, err := hostfile.Open(path)
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
