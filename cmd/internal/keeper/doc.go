// Package keeper is the process that changes the host, writes the log, makes sockets and starts the
// other processes. It reads no packet: a router does (package router).
//
// # Theory of operation
//
// "syntap run" is several processes; package isolate says why. A [Service] is the one that the user
// starts. It changes the host (packages host and tun/route), takes the signals (run.go), and keeps
// a router going (keeper.go, child.go). The router is the same program under another name. Orders
// go to it and words come back (package message).
//
// [Exec] is a keeper of the same routers (exec.go, command.go). It changes no host. It starts a
// command (package namespace) while its router starts, and tells the router which addresses of the
// command's network stand for others. At the end it asks the router to deliver what the command has
// sent. The router tells it of the command's attempts by the ring.
//
// A router that dies has a successor, which gets the config in force. The TUN stays meanwhile, so
// that nothing of the host's traffic leaves unrecorded. The keeper believes nothing that a router
// says. It kills one that sends other messages than a router does (child.go, sockets.go).
//
// # Work for routers
//
// The keeper does for the router all that takes rights. A server makes its upstream sockets and
// attaches filters to them (sockets.go, package sockets). The writer of the log has the owners of
// connections and datagrams found, which the router asks for by the ring (audit/remote). By a
// stream the keeper asks for the router's figures.
//
// The router opens no file once it has given up its rights. When a file of the host changes, the
// keeper sends the next one (files.go).
//
// With http.listen a third process serves the page (page.go, package web). The keeper opens the
// listener before the host is changed, so that visitors wait rather than being refused, and starts
// the process when the router runs. It keeps the last records for that (package recent), and
// answers its questions. Those about figures it puts to the router, or to its successor.
//
// # The log
//
// The log is the keeper's (records.go): one log over all routers of a run. So is the fleet that
// brings it to stores outside, from its files (package fleet/shipping).
//
// The kernel tells the keeper of the flows that leave. It compares them with the records that it
// has (sent.go, package sent). A flow without a record is a finding, and may close the way.
//
// # Reload
//
// At SIGHUP the keeper reads the file and sends the config to the router (reload.go). The router
// asks it to open the sinks, and puts the config in force or refuses it. A router that dies over it
// has a successor, which gets the same config. Package router says what can be reloaded.
package keeper
