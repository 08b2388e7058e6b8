// Package handshake has the record of one TCP three-way handshake: how it ended, the offers of both
// sides, its times and segments, and the words in which logs name all that.
//
// A Record is made by package tracker, of a live link or of a capture. It is its receiver's: the
// maker keeps no reference. The pointers of an Offer point into memory of the same allocation.
package handshake
