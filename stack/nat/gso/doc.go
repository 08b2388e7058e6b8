// Package gso reads, splits and joins GSO packets: packets that stand for several datagrams.
//
// A client that uses segmentation sends a GSO packet itself. [Burst] joins the datagrams of a
// client that sends them one by one, because the way through the host costs the same for many as
// for one. A [Run] does so for the datagrams of a far end.
package gso
