package route

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"syntap/tun/nft"
)

// sentPriority is that of the chain for packets of the router's own sockets: just behind connection
// tracking, before all chains that translate destinations or set marks, so that it sees those of
// the sockets.
const sentPriority = -199

// sentLabel is the label of connections of which a packet was logged, of all routers.
const sentLabel = 31

// sentSnaplen is how much of a packet is logged: its headers, without options of TCP.
const sentSnaplen = 80

// sent adds the chains that log each SYN of the router's own sockets, the first segment with a
// payload of each connection, and the first packet of each flow of another protocol. Those off
// connection tracking are not logged, but for SYNs: each packet would be. ICMPv6 is: connection
// tracking knows no neighbour discovery and no groups, of which a router sends nothing.
func (s *steering) sent() {
	var sent, router, payload, note chainRules
	log := nft.Log(s.Sent, sentSnaplen)
	note.add(nft.SetLabel(sentLabel), log)
	if s.Underlay.Refused {
		note.add(nft.Drop)
	}
	payload.add(nft.Longer(100), nft.Goto("sent_note"))                          // no segment without one is as long
	for _, header := range []uint8{32, 40, 20, 44, 52, 24, 28, 36, 48, 56, 60} { // the frequent ones first
		payload.add(nft.Empty(false, header), nft.Accept)
		payload.add(nft.Empty(true, header), nft.Accept)
	}
	payload.add(nft.Goto("sent_note"))

	if s.Underlay.Refused {
		router.add(nft.AnySYN, log, nft.Drop)
	}
	router.add(nft.AnySYN, log)
	router.add(nft.Label(sentLabel), nft.Accept)
	router.add(nft.Untracked, nft.Protocol(unix.IPPROTO_ICMPV6), nft.Goto("sent_note"))
	router.add(nft.Untracked, nft.Accept)
	router.add(nft.Protocol(unix.IPPROTO_TCP), nft.Goto("sent_payload"))
	router.add(nft.Goto("sent_note"))

	// A packet in a tunnel of the kernel has its socket still. Its mark is off by then: see marks.
	sent.add(
		nft.Mark(s.Mark), nft.SocketMark(s.Mark), nft.OfUID(uint32(os.Geteuid())), nft.Goto("sent_router"),
	)
	s.chain("sent_note", nil, note)
	s.chain("sent_payload", nil, payload)
	s.chain("sent_router", nil, router)
	s.chain("sent", filter("output", sentPriority), sent)
}

// Refuse drops from now on, while Watch runs, the packets by which the router's own sockets begin
// connections and flows. It needs Config.Sent.
func (h *Host) Refuse() {
	h.refuse.Store(true)
	signal(h.asked)
}

// SameMark reports whether another router on this host has, or has had beside this one, the mark of
// this one's sockets: packets of both are logged then. It may be called beside Watch.
func (h *Host) SameMark() (bool, error) {
	if h.sameMark.Load() {
		return true, nil
	}
	k, err := nft.Open() // it may have its journal elsewhere, as one in a container
	if err != nil {
		return false, err
	}
	defer k.Close()
	chains, err := k.OfSocketMark(h.config.Mark, h.config.tableName())
	if len(chains) > 0 {
		h.sameMark.Store(true)
	}
	return len(chains) > 0, err
}

// noteSameMark notes whether another router has the mark: that one may end before SameMark is
// called.
func (h *Host) noteSameMark() {
	c := h.config
	if c.Sent == 0 || c.StateDir == "" || h.sameMark.Load() {
		return
	}
	if slices.ContainsFunc(journaled(c.StateDir), func(r Config) bool { return r.Name != c.Name && r.Mark == c.Mark }) {
		h.sameMark.Store(true)
	}
}

// Logs returns an error if nftables cannot log packets to a group in the calling thread's network
// namespace.
func Logs() error {
	k, err := nft.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Probe(&nft.Table{Name: "syntap-logs", Chains: []nft.Chain{{Name: "log", Rules: []nft.Rule{{nft.Log(1, sentSnaplen)}}}}})
}
