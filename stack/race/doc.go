// Package race dials several addresses of a server, one after the other, until one accepts (RFC
// 8305 §5). It knows sockets and a poller, but no connections.
//
// The next attempt begins [Delay] after the one before, or when that has failed. The first to
// connect wins; all others are closed. A race belongs to one goroutine, except for the events of
// its sockets.
package race
