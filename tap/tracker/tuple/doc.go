// Package tuple finds the flow that a TCP packet belongs to. A flow is a 4-tuple: two addresses
// and two ports.
//
// A Key has the 4-tuple in 40 bytes without a pointer, so that it is cheap to hash and to compare.
// Its ends are called a and b. On a live link end a is the client: directions tell the ends apart.
// In a capture it is the lesser end, by address and then port, so that both directions have one
// key.
//
// A Seed hashes keys so that peers cannot choose flows that collide. A Filter counts flows by 16
// bits of that hash, in 256 KiB: a packet whose count is zero belongs to no flow in it. It is safe
// for concurrent use; the rest is plain data.
package tuple
