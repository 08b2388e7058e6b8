// Package handshake has the record of one TCP three-way handshake: its outcome, the offers of both
// sides, its times and segments, and the words for these in logs.
//
// Package tracker makes a Record, from a live link or a capture. A Record belongs to its receiver:
// the tracker keeps no reference. The pointers of an Offer point into the same allocation.
package handshake
