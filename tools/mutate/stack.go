package main

// connection has the mutations of TCP in package stack.
func connection() []mutation {
	list := []mutation{
		{
			behaviour: "a SYN with a new number on a 4-tuple in use begins the next connection",
			old:       `if !waits && phase != synReceived {`,
			new:       `if false {`,
			run:       "TestNextSYN",
		},
		{
			behaviour: "netstack challenges a SYN with a new number, and does not refuse it",
			old:       "\trenumberSYN(syn, c.isn)\n",
			run:       "TestNextSYN",
		},
		{
			behaviour: "a client that gives a dial up gets its next one",
			old:       `c.end(givenUp)`,
			run:       "TestNextSYN",
		},
		{
			behaviour: "a SYN that has waited for long begins nothing",
			old:       `time.Since(c.next.at) < nextSYNAge`,
			new:       `time.Since(c.next.at) < time.Hour`,
			run:       "TestNextSYN",
		},
		{
			behaviour: "the time in which the router has not run does not count for a handshake",
			old:       `if stood := s.stood.sofar() - h.stood; stood > 0 {`,
			new:       `if stood := s.stood.sofar() - h.stood; stood > 1<<62 {`,
			run:       "TestStandstill",
		},
		{
			behaviour: "a record before the client's ACK counts when that comes",
			old:       `c.handshake.recorded, c.serverISN, c.opening = true, serverISN, opening`,
			new:       `c.serverISN, c.opening = serverISN, opening`,
			run:       "TestRecordedBeforeACK|TestAwaitRecord",
		},
		{
			behaviour: "nothing is carried before the record",
			old:       `ready, stopping := c.handshake.recorded || !s.o.AwaitRecord`,
			new:       `ready, stopping := true`,
			run:       "TestAwaitRecord",
		},
		{
			behaviour: "the far side's reset ends both directions and reaches the client",
			old: `c.seen.set(clientReset)
	}
	if do&resetServer`,
			new: `}
	if do&resetServer`,
			run: "Reset",
		},
		{
			behaviour: "a client that takes no more bytes is over",
			old:       "case err != nil:\n\t\t\tc.end(clientFailure(err))",
			new:       "case err != nil:",
			run:       "TestClientResetsDownload",
		},
		{
			behaviour: "a connection ends with a client that has sent its FIN and then resets",
			old:       `if c.lastDirection() && c.clientGone() {`,
			new:       `if false {`,
			run:       "TestClientResets",
		},
		{
			behaviour: "the far side's reset after its FIN is seen while nothing is to be written",
			old:       `if !c.seen.has(hangup) || !c.lastDirection() {`,
			new:       `if true {`,
			run:       "TestServerResetsAfterItsFIN",
		},
		{
			behaviour: "a connection leaves no address of its host socket",
			old:       "\ts.sockets.Give(c.upstream)\n\tc.prober.End()\n",
			new:       "\tc.prober.End()\n",
			run:       "TestNothingIsLeft",
		},
		{
			behaviour: "a failed dial leaves no address of its host socket",
			old:       `c.stack.sockets.Give(c.upstream)`,
			run:       "TestNothingIsLeft",
		},
		{
			behaviour: "a source without half-open handshakes is forgotten",
			old:       `delete(s.waiting.bySource, source)`,
			new:       `_ = source`,
			run:       "TestNothingIsLeft",
		},
		{
			behaviour: "the memory of a connection is given back",
			old:       `c.memory.payer.Charge(-c.memory.fixed)`,
			run:       "TestNothingIsLeft|TestManyFlowsAtOnce",
		},
		{
			behaviour: "the client's FIN crosses",
			old:       `raw.Shutdown(c.fd, unix.SHUT_WR)`,
			new:       `_ = raw.Shutdown`,
			run:       "TestRelayCarriesBytesBothWays",
		},
		{
			behaviour: "the far side's FIN crosses",
			old:       `_ = c.ep.Shutdown(tcpip.ShutdownWrite)`,
			run:       "TestHalfCloseByServer",
		},
		{
			behaviour: "the far side gets all bytes behind a FIN, not a reset",
			old:       `_ = dial.EndInOrder(fd)`,
			new:       `_ = dial.EndInOrder`,
			run:       "TestLateBytesArrive|TestLingering",
		},
		{
			behaviour: "a SYN of one of our own host sockets is dropped",
			old:       `if _, ours := s.sockets.Of(key); ours {`,
			new:       `if false {`,
			run:       "TestOwnSocketsAreDropped",
		},
		{
			behaviour: "half-open handshakes of a source are limited",
			old:       `if s.waiting.bySource[source] >= (i+1)`,
			new:       `if false && s.waiting.bySource[source] >= (i+1)`,
			run:       "TestHalfOpen",
		},
		{
			behaviour: "an IPv6 network has twice the limit of an address",
			old:       `if s.waiting.bySource[source] >= (i+1)`,
			new:       `if s.waiting.bySource[source] >= (i-i+1)`,
			run:       "TestHalfOpen",
		},
		{
			behaviour: "all half-open handshakes together are limited",
			old:       `if s.stats.HalfOpen.Load() >= int64(s.o.HalfOpen) {`,
			new:       `if false {`,
			run:       "TestHalfOpen",
		},
		{
			behaviour: "the app may hold an answer back",
			old:       `if c.stack.o.BeforeAnswer == nil {`,
			new:       `if true {`,
			run:       "TestBeforeAnswer|TestLateTimer",
		},
		{
			behaviour: "the host socket is marked as the client marks its segments",
			old:       `setDSCP(c.fd, c.upstream.server.Addr().Is6(), dscp)`,
			run:       "DSCP|Marks",
		},
		{
			behaviour: "a download of a client that resets ends at once",
			old:       "clientRST:     resetServer,",
			new:       "clientRST:     0,",
			run:       "Reset",
		},
		{
			behaviour: "a stop does not reset a far side that has all bytes and the FIN",
			old:       `stopped:       resetClient | resetUnserved,`,
			new:       `stopped:       resetClient | resetServer,`,
		},
		{
			behaviour: "a stop does not wait for a client that has vanished",
			old:       `stopped:      abortClient,`,
			run:       "TestStop",
		},
		{
			behaviour: "a dial without an answer ends silently",
			old:       `noReply:     dropSocket | report | forget,`,
			new:       `noReply:     dropSocket | report | answerSYN | forget,`,
			run:       "TestLocalFailureIsReported",
		},
		{
			behaviour: "a connection without a record is counted",
			old:       `noRecord: count | resetClient`,
			new:       `noRecord: resetClient`,
			run:       "TestAwaitRecord",
		},
		{
			behaviour: "an event of a descriptor's earlier use is not delivered",
			old:       ` && w.epoch == uint32(ev.Pad)`,
		},
	}
	return with(list, "stack", inStack)
}

// datagram has the mutations of UDP and ICMP, and of the packages below stack.
func datagram() []mutation {
	list := []mutation{
		{
			behaviour: "a client learns that its datagram is too big",
			old:       `if mtu == 0 || mtu > 0xffff {`,
			new:       `if true {`,
		},
		{
			behaviour: "an ICMP error counts only when it quotes a packet on its way",
			old:       ` || !s.hasSent(&e)`,
			run:       "TooBig",
		},
		{
			behaviour: "a mapping that is answered makes no room for others",
			old:       `evictable = [...]class{unanswered, nameLookup, echoes}`,
			new:       `evictable = [...]class{unanswered, answered, nameLookup, echoes}`,
			run:       "TestFullTable|TestSourcesShareTheTable",
		},
		{
			behaviour: "a mapping that is done with names ends early",
			old:       `case e.onlyNames && e.questions == 0:`,
			new:       `case false:`,
			run:       "TestMappingsEndWhenIdle",
		},
		{
			behaviour: "a mapping that has ended is out of use",
			old:       "\te.places = nil\n",
			run:       "TestAnswerBehindTheEnd",
		},
		{
			behaviour: "datagrams wait for the record of their flow",
			old:       "\tif !l.passing {\n",
			new:       "\tif false {\n",
			run:       "TestNoDatagramBeforeItsRecord",
		},
		{
			behaviour: "datagrams that the host has not sent do not count",
			old:       "\t\tl.failed(packets, bytes, errno)\n",
			run:       "TestOutcomes|TestAddressGone|TestGSOCounts",
		},
		{
			behaviour: "a flow ends where another socket sends",
			old:       "\tdefault:\n\t\ts.end(l)\n\t}\n\ts.mu.Unlock()\n",
			new:       "\t}\n\ts.mu.Unlock()\n",
			run:       "TestSameSender",
		},
		{
			behaviour: "a ClientHello with another name denies its flow",
			old:       `l.naming, l.denied = wait && !deny, l.denied || deny`,
			new:       `l.naming = wait && !deny`,
			run:       "TestQUICNames",
		},
		{
			behaviour: "datagrams of programs of this host do not reach a client unasked",
			old:       `if a == m.Local || a.IsLoopback() || r.nat.o.OnHost(a) {`,
			new:       `if false && a == m.Local {`,
			run:       "TestUnsolicited|TestRuledFarEnds|TestUDPIsEndpointIndependent",
		},
		{
			behaviour: "an echo mapping that has ended sends no more",
			old:       `if s.Of(ident) != m {`,
			new:       `if false {`,
			run:       "TestIdentifiers",
		},
		{
			behaviour: "a query whose names are forbidden is answered, and taken out",
			old:       "\t\tc.discard(size)\n",
			new:       "\t\t_ = size\n",
			run:       "TestForbiddenQueries",
		},
		{
			behaviour: "the far side is asked when a client's keepalive does",
			old:       "\t_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1) // the kernel probes at once\n",
			run:       "TestProbe",
		},
		{
			behaviour: "the first address that accepts wins a race",
			old:       "\t\t\tif errno == 0 {\n\t\t\t\treturn a, nil\n\t\t\t}\n",
			new:       "\t\t\tif errno == 0 {\n\t\t\t\tcontinue\n\t\t\t}\n",
			run:       "TestNextAddress",
		},
		{
			behaviour: "a socket that is not acknowledged stays charged",
			old:       "\tone.weigh()\n",
			run:       "TestLingering",
		},
	}
	return with(list, "stack", inStack)
}

// with sets the folder and the tests of mutations that have none.
func with(list []mutation, folder, tests string) []mutation {
	for i := range list {
		list[i].folder, list[i].tests = folder, tests
	}
	return list
}
