// Package flows keeps datagrams back until the flow that they begin is on record, and reports the
// flows that end. It knows no routes and no policy.
//
// A [Flow] is the datagrams of a mapping to and from one far end, as the client addresses it; each
// DNS query is one of its own, which its response ends. A mapping has a [Set] of them. The NAT asks
// the set of each datagram what becomes of it ([Set.Pass]): a datagram that begins a flow is held,
// and so are those behind it, until [Recorder.Recorded]; later ones pass, and are counted before
// they are sent. [Recorder.Serve] sends those that were held, in order. [Unsent] are the flows that
// are on record although nothing of them leaves.
//
// In a flow of QUIC the ClientHello is put together for the record (quic.go). Where the client may
// ask for the name of its flow alone, datagrams wait while a ClientHello is not whole (hello.go).
//
// # Locks
//
// Set.Sending is held by the goroutine that sends on the mapping's socket. Flows end with it held,
// other than by an answer, so that their counts are final. Set.mu guards the flows and is held for
// moments only: never while a frame is sent. Recorder.mu is taken with it held. Of a [Mapping] only
// TakeMemory and GiveMemory are called with Set.mu held.
package flows
