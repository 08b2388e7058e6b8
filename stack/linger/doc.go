// Package linger closes the sockets of connections that are over, whose far side has not
// acknowledged all bytes.
//
// The kernel would send these for a closed socket too, at no one's expense: a client and a far end
// together could fill its memory. So such sockets stay open, and their client is charged for them,
// until the far side has acknowledged all or has been silent for as long as Linux waits for one.
//
// The lock of Sockets guards their list, and is not held during a system call of the sweep.
package linger
