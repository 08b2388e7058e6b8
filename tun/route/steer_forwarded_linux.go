package route

import (
	"slices"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// forwarded adds the chains for packets of other machines.
func (s *steering) forwarded() {
	var midstream, first, forwarded chainRules
	// The entry of a client's connection may have been flushed. Without connection tracking before,
	// the connection is older than the router.
	if s.tracked != (tracked{}) {
		midstream.add(nft.SourcePortOutside(s.first, s.last), nft.Accept)
	}
	if s.tracked.ipv4 {
		midstream.add(nft.Source4.In("sources4"), nft.Goto("destination"))
	}
	if s.tracked.ipv6 {
		midstream.add(nft.Source6.In("sources6"), nft.Goto("destination"))
	}
	first.add(nft.NotUnicast, nft.Accept)
	if s.KeepInbound && len(s.Underlay.Zones) > 0 {
		first.addToAskers()
	}
	s.addServers(&first)
	first.add(nft.Untracked, nft.Source4.In("sources4"), nft.Goto("destination"))
	first.add(nft.Untracked, nft.Source6.In("sources6"), nft.Goto("destination"))
	first.add(nft.NotSYN, nft.Goto("forwarded_midstream"))
	first.add(nft.Source4.In("sources4"), nft.Goto("destination"))
	first.add(nft.Source6.In("sources6"), nft.Goto("destination"))
	if s.KeepInbound {
		first.add(nft.FromAny("uplinks"), nft.Accept)
	}
	first.add(nft.RouteOutside("uplinks"), nft.Accept)
	first.add(nft.Goto("destination"))

	// Answers enter to a packet that the router delivers first, such as a peer's datagram.
	forwarded.add(nft.From(s.Name), nft.New, nft.SetLabel(s.label()), nft.SetLabel(deliveredLabel))
	forwarded.add(nft.From(s.Name), nft.SetMark(0), nft.Accept)
	if s.KeepInbound {
		s.noteAskers(&forwarded)
	}
	// A transparent proxy of this host has taken the packet: it is not to be forwarded.
	forwarded.add(nft.AnyUID, nft.Accept)
	if s.forwardedEnter() {
		if s.KeepInbound {
			forwarded.add(nft.Reply, nft.FromAny("uplinks"), nft.Accept)
		}
		s.addKnown(&forwarded)
		forwarded.add(nft.NewOrRelated, nft.Goto("forwarded_new"))
		forwarded.addAnew("forwarded_new")
		forwarded.addUntracked("forwarded_new")
	}
	s.delivered()
	s.chain("forwarded_midstream", nil, midstream)
	s.chain("forwarded_new", nil, first)
	s.chain("forwarded", filter("prerouting", lastPriority), forwarded)
}

// delivered adds the chain that drops packets from the TUN to other machines than clients: a router
// that is taken over would have this host forward them, on no record.
func (s *steering) delivered() {
	var delivered, judged chainRules
	delivered.add(nft.From(s.Name), nft.Goto("delivered_to"))
	judged.add(nft.Destination4.In("sources4"), nft.Accept)
	judged.add(nft.Destination6.In("sources6"), nft.Accept)
	judged.add(nft.Label(s.label()), nft.Reply, nft.Accept) // to a machine that this host masquerades
	judged.add(nft.Counter(), nft.Drop)
	s.chain("delivered_to", nil, judged)
	s.chain("delivered", filter("forward", firstPriority), delivered)
}

// noteAskers notes other machines that ask a group or a broadcast: connection tracking sees no
// reply in the answer of this host, as it comes from another address than the one that was asked.
func (s *steering) noteAskers(r *chainRules) {
	var note chainRules
	note.add(nft.NoteAsker(nft.Source4, askers4))
	note.add(nft.NoteAsker(nft.Source6, askers6))
	s.chain("note_asker", nil, note)
	for _, to := range slices.Concat(nft.Multicast, []nft.Statement{nft.Broadcast}) {
		r.add(nft.Protocol(unix.IPPROTO_UDP), to, nft.Jump("note_asker"))
	}
	if len(s.Underlay.Zones) > 0 { // an answer of another machine may be in another zone
		r.add(nft.FromAny("uplinks"), nft.New, nft.Protocol(unix.IPPROTO_UDP), nft.Jump("note_asker"))
	}
}

// addToAskers accepts answers to machines that were noted.
func (r *chainRules) addToAskers() {
	r.add(nft.ToAsker(nft.Destination4, askers4), nft.Accept)
	r.add(nft.ToAsker(nft.Destination6, askers6), nft.Accept)
}
