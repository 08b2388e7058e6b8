// Package channel carries messages between two processes of the program, of which one has started
// the other: each is a packet of JSON, which may bring descriptors.
//
// The other side may be under a stranger's control. A message is bounded, and the kernel drops
// the rest of it; its content is for the receiver to judge.
package channel
