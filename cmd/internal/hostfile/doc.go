// Package hostfile reads the files by which this host knows names: its own table of hosts, whose
// names count for its programs beside those of the DNS, and the addresses of its nameservers.
//
// A router opens no file at work. It reads these before; of those that change its keeper sends it
// the next ones.
package hostfile
