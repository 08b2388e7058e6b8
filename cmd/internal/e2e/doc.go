// Package e2e tests the program as its users meet it: the built binary, real tools beside and
// behind it (curl, nc, dig, ping, tcpdump), real kernels on both sides. It holds tests only.
//
// Each test makes a lab of its own (see tuntest.Lab) and starts the router in the lab's middle
// namespace, which stands for the host: commands run there are routed into the TUN, and reach the
// server only through it. Tests rely on the contract of the program: commands, config keys, exit
// status, output. Of its packages they use those that read captures, packets and lines, and those
// for tests.
package e2e
