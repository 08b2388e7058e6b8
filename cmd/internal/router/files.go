//go:build linux

package router

import (
	"net/netip"
	"os"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/message"
)

// takeFile takes an order about a file, which may have come along. It reports whether it is one.
func (r *Process) takeFile(o *message.Order, files []*os.File) bool {
	defer channel.CloseFiles(files)
	switch {
	case o.Nameservers != nil:
		r.nameservers.Store(o.Nameservers)
	case o.Passwd && r.searches != nil:
		if remote := r.searches.remote.Load(); remote != nil && len(files) == 1 {
			remote.SetUsers(files[0])
		}
	case o.Hosts:
		all := hostfile.Hosts(nil)
		if len(files) == 1 {
			all = hostfile.ParseHosts(files[0], hostfile.HostsPath, r.logger)
		}
		r.hosts.Store(&all)
	default:
		return false
	}
	return true
}

// knownNameservers returns those that the keeper has told last.
func (r *Process) knownNameservers() []netip.Addr { return *r.nameservers.Load() }

// nextHosts returns the names that count from the next reload on.
func (r *Process) nextHosts() hostfile.Hosts { return *r.hosts.Load() }
