// Package probe answers the keepalive probes of clients.
//
// A client whose keepalive asks whether its far side is there (RFC 9293 §3.8.4) does not mean the
// router. Netstack's answer to such a probe is withheld, the far side is probed, and the answer
// goes out when the far side has answered: a client learns of one that has vanished in its own
// time.
//
//	client ── probe ──▶ netstack ── ACK without news ──▶ Withhold
//	   ▲                                                    │ TCP_KEEPIDLE 1 s
//	   │                                                 kernel ── probe ──▶ far side
//	   │                                                    │ TCP_INFO: heard since
//	   ╰──────────────────── the ACK ────────────────── answer
//
// While the far side has not acknowledged all that the client has sent, every probe is answered:
// without a router there would be no probe then, and the retransmissions decide
// (dial.Options.UserTimeout).
//
// The router asks in the same way for itself (Ask, package farseq). Then nothing is withheld.
//
// The lock of a Prober guards its question. It is taken with netstack's locks held, and is not held
// while an answer is written.
package probe
