// Package race dials several addresses of a server, one after the other, until one accepts (RFC
// 8305 §5). It knows sockets and a poller, no connections.
//
// The next attempt begins [Delay] after the one before, or at once where that has failed. The first
// that is connected wins; all others are closed. A race belongs to one goroutine, but for the
// events of its sockets.
package race
