// Package gso reads, cuts and joins the packets of clients that stand for several datagrams (GSO
// packets), and single ones like them.
//
// A client that uses segmentation sends a GSO packet itself. The datagrams of another one come one
// by one, and [Burst] joins them: the way through the host costs the same for many as for one. A
// [Run] does so for the datagrams of a far end.
package gso
