// Package probe answers the keepalive probes of clients.
//
// A client's keepalive asks whether its far side still exists (RFC 9293 §3.8.4); the answer of a
// router says nothing about that. So netstack's answer to such a probe is withheld, the far side is
// probed, and the answer goes out when the far side has answered. A client thus notices within its
// own timeout that the far side has vanished.
//
//	client ── probe ──▶ netstack ── ACK without news ──▶ Withhold
//	   ▲                                                    │ TCP_KEEPIDLE 1 s
//	   │                                                 kernel ── probe ──▶ far side
//	   │                                                    │ TCP_INFO: heard since
//	   ╰──────────────────── the ACK ────────────────── answer
//
// While the far side has not acknowledged everything that the client has sent, every probe is
// answered: without a router there would be no probe then, and the retransmissions decide
// (dial.Options.UserTimeout).
//
// The router asks in the same way for itself (Ask, package farseq). Then nothing is withheld.
//
// The lock of a Prober guards its question. It is taken with netstack's locks held, and is not held
// while an answer is written.
package probe
