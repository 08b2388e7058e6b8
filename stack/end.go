//go:build linux

package stack

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	tunflow "syntap/tun/flow"
	"syntap/tun/raw"
)

// cause is an event that ends a connection, or one of its directions.
type cause uint8

const (
	refused       cause = iota // the far side answered the dial with RST
	unreachable                // a router answered the dial with ICMP
	denied                     // policy forbids the destination
	noReply                    // the far side has not answered the dial
	givenUp                    // the client begins its next handshake
	noACK                      // the client has not acknowledged the SYN-ACK in time
	noHandshake                // the client has reset the handshake, or netstack has ended it
	noRecord                   // the handshake was not recorded in time
	onRecord                   // it is on record
	clientFIN                  // the client has no more to send
	clientRST                  // the client has reset after its ACK
	clientTimeout              // the client no longer acknowledges
	serverFIN                  // the far side has no more to send
	serverRST                  // the far side has reset
	serverTimeout              // the far side no longer acknowledges
	stuck                      // its full segments vanish on the way
	forbidden                  // policy forbids a DNS query of the client, or the name in its first bytes
	delivered                  // both directions have ended
	clientClosed               // netstack's endpoint is closed
	stopped                    // the router stops
	causes
)

// action is a part of an end. The actions of one end are taken in the order of their bits.
type action uint32

const (
	interrupt     action = 1 << iota // netstack gives up the handshake: noHandshake follows
	leavePlace                       // give the place among the half-open handshakes back
	dropSocket                       // close the host socket: a far side that has accepted gets RST
	count                            // as a connection without a record
	report                           // tell the caller how the dial ended
	answerSYN                        // tell the client: RST, or ICMP
	shutServer                       // FIN to the far side
	shutClient                       // FIN to the client
	resetClient                      // RST to the client
	resetServer                      // RST to the far side
	resetUnserved                    // the same, unless it has all bytes of the client and its FIN
	carry                            // begin the relay, which ends at once
	closeBoth                        // close the host socket and netstack's endpoint
	abortClient                      // have netstack close its endpoint at once, with RST
	awaitRecord                      // wait for the record of a handshake that is over
	reportClosed                     // tell the caller how the connection ended
	forget                           // remove everything, and begin the client's next handshake if its SYN waits
)

// endings lists the actions of each cause in each phase. A cause without an entry comes too late
// and has no effect: another one has ended the phase.
var endings = [phases][causes]action{
	synSent: {
		refused:     dropSocket | report | answerSYN | forget,
		unreachable: dropSocket | report | answerSYN | forget,
		denied:      dropSocket | report | answerSYN | forget,
		noReply:     dropSocket | report | forget,
		givenUp:     dropSocket | forget,
		stopped:     dropSocket | forget,
	},
	synReceived: {
		noACK:       interrupt,
		stopped:     interrupt,
		noHandshake: leavePlace | dropSocket | forget,
		clientRST:   leavePlace | dropSocket | awaitRecord,
	},
	acknowledged: {
		noRecord: count | resetClient | resetServer | carry,
		stopped:  resetClient | resetServer | carry,
	},
	established: {
		clientFIN:     shutServer,
		clientRST:     resetServer,
		clientTimeout: resetServer,
		serverFIN:     shutClient,
		serverRST:     resetClient,
		serverTimeout: resetClient,
		stuck:         resetClient | resetServer,
		forbidden:     resetClient | resetServer,
		stopped:       resetClient | resetUnserved,
		delivered:     closeBoth,
	},
	closing: {
		clientClosed: reportClosed | forget,
		stopped:      abortClient,
	},
	lost: {
		onRecord: reportClosed | forget,
		noRecord: count | reportClosed | forget,
		stopped:  reportClosed | forget,
	},
}

// end ends the connection, or a direction of it, for a cause. Any goroutine may call it, also with
// netstack's locks held if the cause comes from netstack. The direction that has seen a FIN calls
// it for that.
func (c *conn) end(why cause) {
	s := c.stack
	s.mu.Lock()
	do := endings[c.phase.Load()][why]
	if do&interrupt != 0 && !c.handshake.accepting { // netstack has not begun it
		do = endings[synReceived][noHandshake]
	}
	if do&interrupt != 0 {
		c.handshake.cut = true
	}
	if do&leavePlace != 0 {
		s.countHalfOpen(c, -1)
	}
	if do&dropSocket != 0 {
		c.dropSocket()
	}
	if do&forget != 0 {
		c.phase.Store(closed)
	}
	if do != 0 {
		c.began(why)
	}
	recorded := do&awaitRecord != 0 && c.await()
	s.mu.Unlock()
	if do == 0 {
		return
	}
	c.endHandshake(do, why)
	c.endRelay(do)
	if do&forget != 0 {
		s.forget(c)
	}
	if why == stopped && do&abortClient == 0 && c.phase.Load() == closing {
		c.end(stopped) // the relay has ended by itself meanwhile
	}
	if recorded {
		c.end(onRecord)
	}
}

// await begins the phase lost, and reports whether it is over: the record is there. Stack.mu is
// held.
func (c *conn) await() (recorded bool) {
	s := c.stack
	c.phase.Store(lost)
	c.lasted = time.Since(c.started)
	c.setDeadline(s.o.HandshakeTimeout)
	return c.handshake.recorded || !s.o.AwaitRecord || s.stopping
}

// endHandshake executes the actions of an end that concern the handshake.
func (c *conn) endHandshake(do action, why cause) {
	s := c.stack
	if do&interrupt != 0 {
		c.wq.Notify(waiter.WritableEvents) // CreateEndpoint waits for it
	}
	if do&count != 0 {
		s.stats.Unrecorded.Add(1)
	}
	if do&report != 0 {
		s.report(c, answerTo[why], c.handshake.failure)
	}
	if do&answerSYN != 0 {
		s.answer(c.handshake.syn, answerTo[why], c.handshake.failure)
	}
}

// endRelay executes the actions of an end that concern an established connection.
func (c *conn) endRelay(do action) {
	if do&shutServer != 0 {
		raw.Shutdown(c.fd, unix.SHUT_WR)
		c.seen.set(serverShut)
	}
	if do&shutClient != 0 {
		c.seen.set(clientShut)
		_ = c.ep.Shutdown(tcpip.ShutdownWrite)
	}
	if do&resetClient != 0 {
		c.seen.set(clientReset)
	}
	if do&resetServer != 0 || do&resetUnserved != 0 && !c.seen.has(serverShut) {
		c.seen.set(serverReset)
	}
	if do&carry != 0 {
		c.establish()
	}
	if do&(resetClient|resetServer) != 0 {
		c.outbound.Wake()
		c.inbound.Wake()
	}
	if do&closeBoth != 0 {
		c.close()
	}
	if do&abortClient != 0 {
		c.seen.set(clientReset)
		c.ep.Abort()
		c.endIfClosed()
	}
	if do&reportClosed != 0 {
		c.inbound.giveBufferBack() // netstack had sent it all, or lost it
		c.reportClosed()
	}
}

// answerTo is the answer to a client whose dial has failed.
var answerTo = [causes]tunflow.Answer{
	refused: tunflow.Refused, unreachable: tunflow.Unreachable, denied: tunflow.Denied,
	noReply: tunflow.NoReply,
}

// beganBy has the words of the record for the causes that begin the end of an established
// connection.
var beganBy = [causes]tunflow.End{
	clientFIN: tunflow.ClientFIN, clientRST: tunflow.ClientRST,
	clientTimeout: tunflow.ClientTimeout,
	serverFIN:     tunflow.ServerFIN, serverRST: tunflow.ServerRST,
	serverTimeout: tunflow.ServerTimeout,
	noRecord:      tunflow.RouterRST, stopped: tunflow.RouterRST,
	stuck: tunflow.RouterRST, forbidden: tunflow.RouterRST,
}

// began notes the cause that begins the end of the connection; later ones are its consequence.
func (c *conn) began(why cause) {
	if e := beganBy[why]; e != tunflow.Open {
		c.firstly.CompareAndSwap(uint32(tunflow.Open), uint32(e))
	}
}

// clientFailure returns the cause for netstack's error about the client.
func clientFailure(err tcpip.Error) cause {
	if _, ok := err.(*tcpip.ErrTimeout); ok {
		return clientTimeout
	}
	return clientRST
}

// serverFailure returns the cause for the host's error about the far side.
func serverFailure(errno syscall.Errno) cause {
	if errno == unix.ETIMEDOUT {
		return serverTimeout
	}
	return serverRST
}

// finish marks a direction done. The last one closes the connection.
func (c *conn) finish(d *direction) {
	d.done = true
	if c.directions.Add(-1) == 0 {
		c.end(delivered)
	}
}

// close releases the relay's resources; netstack finishes the client's leg.
func (c *conn) close() {
	s := c.stack
	c.lasted = time.Since(c.started)
	c.gate.EndWait()
	c.first.End(&c.memory.payer)
	c.dns.End(&c.memory.payer)
	s.mu.Lock()
	s.sockets.Give(c.upstream)
	c.prober.End()
	if far := c.far.Load(); far != nil {
		far.question.Cancel(c.fd)
	}
	c.resendAsBefore()
	c.phase.Store(closing)
	s.mu.Unlock()
	if c.seen.has(clientAsked) {
		s.asked.End(c.key.client, c.key.server)
	}
	if c.seen.has(serverReset) {
		s.closeSocket(c.fd)
	} else {
		s.poller.Remove(c.fd)
		s.lingering.Close(c.fd, c.key.client.Addr(), c.isLocal)
	}
	c.memory.setRoom(c.inbound.smallBuffer()) // of which netstack may still send bytes
	c.outbound.giveBufferBack()
	if c.seen.has(clientReset) {
		c.ep.Abort()
	} else {
		c.ep.Close()
	}
	c.endIfClosed()
}

// endIfClosed ends a closing connection once netstack has finished with it.
func (c *conn) endIfClosed() {
	switch tcp.EndpointState(c.ep.State()) {
	case tcp.StateClose, tcp.StateError:
		c.end(clientClosed)
	}
}

// reportClosed reports a finished connection to the caller.
func (c *conn) reportClosed() {
	if c.stack.o.FlowDone == nil {
		return
	}
	c.began(stopped) // unless another cause has
	done := tunflow.Flow{
		Key: c.name(), ServerISN: c.serverISN, Opening: c.opening,
		Started: c.started, Duration: c.lasted,
		Outbound: c.outbound.bytes, Inbound: c.inbound.bytes, End: tunflow.End(c.firstly.Load()),
	}
	if f := c.first; f != nil {
		done.Hello, done.HTTPHost = f.Hello, f.Host
	}
	done.DNS = c.dns.Record()
	if c.ep != nil { // else the client has reset before
		if stats, ok := c.ep.Stats().(*tcp.Stats); ok {
			done.Retransmits = stats.SendErrors.Retransmits.Value()
		}
	}
	c.stack.o.FlowDone(done)
}
