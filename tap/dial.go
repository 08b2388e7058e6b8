package tap

import "syntap/tun/flow"

// DialDone takes the end of a dial. The router calls it before it answers the client, so that the
// record can say how.
func (t *Tap) DialDone(d flow.Dial) { t.live.dialDone(d, t.now()) }

// Forget takes the end of a handshake in the router whose dial had succeeded, or of the connection
// that came of it. A handshake without a verdict ends as half_open. Without the call the tap keeps
// a flow closed for as long as netstack could hold its endpoint by itself, and a connection for
// ever.
func (t *Tap) Forget(k flow.Key) { t.live.forget(k, t.now()) }
