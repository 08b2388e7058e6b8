// Package linger closes the sockets of finished connections whose far side has not acknowledged all
// bytes.
//
// The kernel would also deliver the rest for a closed socket, but charge it to no one: a client and
// a far end together could fill the kernel's memory. So these sockets stay open, and are charged to
// their client, until the far side has acknowledged everything or has been silent for as long as
// Linux waits for one.
//
// The lock of Sockets guards their list, and is not held during a system call of the sweep.
package linger
