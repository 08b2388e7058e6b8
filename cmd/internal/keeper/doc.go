// Package keeper is the process that changes the host, writes the log, makes sockets and starts the
// others: those of a router, which reads the packets, and of http.listen. It reads no packet
// itself.
//
// # Theory of operation
//
// "syntap run" is several processes (package isolate says why). A [Service] is the one that is
// started: it changes the host (packages host and tun/route), takes the signals (run.go), and keeps
// a router going (keeper.go, child.go). The router is the same program under another name (package
// router). They exchange orders and words (package message).
//
// [Exec] is a keeper, too, of the same routers (exec.go, command.go): it changes no host, but
// starts a command (package namespace), while its router starts. It tells the router which
// addresses of the command's network stand for others, and asks it to deliver what the command has
// sent. The attempts of the command come by the ring.
//
// A router that dies has a successor, with the config that is in force. The TUN stays meanwhile, so
// that nothing of the host's traffic leaves unrecorded. The keeper believes nothing that a router
// says: it kills one that sends other messages than a router does (child.go, sockets.go).
//
// # Work for routers
//
// Servers do for the router all that takes rights (sockets.go): one makes its upstream sockets, and
// attaches filters to them (package sockets), the other searches for the owners of connections
// (owner.Server). Those of datagrams the writer of the log searches for (audit/remote). By a third
// stream the router is asked for its figures.
//
// The router opens no file once it has given up its rights. Of those of the host that change the
// keeper sends the next ones (files.go).
//
// With http.listen the keeper has the page served by a third process (page.go, package web), which
// it starts when the router runs. It opens the listener before that, so that visitors wait rather
// than being refused, and keeps the last records for it (package recent). Questions that the keeper
// cannot answer itself it puts to the present router, or the next one.
//
// # The log
//
// The log is the keeper's (records.go), one over all routers of a run. So is the fleet that brings
// it to stores outside, from its files (package fleet/shipping).
//
// The keeper compares the flows that leave with the records that it has (sent.go, package sent): a
// flow without one is a finding, and may close the way.
//
// # Reload
//
// SIGHUP has a running router take another config (reload.go): tap, mss, df, egress, limits,
// fleet and log, and read /etc/hosts again. The keeper reads the file, and opens the sinks when the
// router asks for that. A router that dies over it has a successor, which is asked again.
package keeper
