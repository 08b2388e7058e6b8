package tap

import "syntap/tun/flow"

// DialDone reports how a dial ended. The router calls it before it answers the client, so that the
// record has it.
func (t *Tap) DialDone(d flow.Dial) { t.live.dialDone(d, t.now()) }

// Forget reports that the router has ended a handshake whose dial had succeeded, or the resulting
// connection. A handshake without a verdict ends as half_open. Without the call the tap keeps the
// flow closed until netstack must have given up its endpoint, and a connection for ever.
func (t *Tap) Forget(k flow.Key) { t.live.forget(k, t.now()) }
