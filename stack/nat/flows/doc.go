// Package flows holds datagrams back until the flow that they begin is recorded, and reports the
// flows that end. It knows no routes and no policy.
//
// A [Flow] is the datagrams of a mapping to and from one far end, as the client addresses it. Each
// DNS query is a flow of its own that its response ends. A mapping has a [Set] of flows. The NAT
// asks the set about each datagram ([Set.Pass]): the one that begins a flow is held, with those
// behind it, until [Recorder.Recorded]; later ones pass, and are counted before they are sent.
// [Recorder.Serve] sends held datagrams in order. [Unsent] are recorded flows of which nothing
// leaves.
//
// In a QUIC flow the ClientHello is assembled for the record (quic.go). If the client may only ask
// for the name of its flow, datagrams wait while a ClientHello is incomplete (hello.go).
//
// # Locks
//
// The goroutine that sends on the mapping's socket holds Set.Sending. Flows end with it held,
// except by an answer, so that their counts are final. Set.mu guards the flows and is held briefly,
// never while a frame is sent. Recorder.mu is taken with it held. With Set.mu held, only TakeMemory
// and GiveMemory of a [Mapping] are called.
package flows
