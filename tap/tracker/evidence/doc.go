// Package evidence weighs the segments behind those of a captured handshake. Where a capture lacks
// the SYN-ACK or the third segment, they tell whether there was one, and which number it had.
//
// The segment of the client with the lowest number is kept: it stands for the third one as soon as
// the server's acknowledgments reach it, or as soon as both ends have sent data and acknowledged
// the other's. Of several SYN-ACKs the one counts that the client acknowledges. The verdict of a
// RST or an ICMP error waits here too, until later segments can no longer change it. Wrong
// acknowledgments are kept to tell the RST that answers one from a forged one.
//
// A live link lacks nothing: its handshakes have no such memory. It belongs to one handshake and
// has no lock; that of the tracker's shard guards it.
package evidence
