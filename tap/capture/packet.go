package capture

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Packet is one packet of a capture, with its link header taken apart.
type Packet struct {
	Time        time.Time // 1970 where the file has none (pcapng simple packet block)
	LinkType    LinkType
	Frame       []byte // captured bytes, link header first
	FrameLength int    // bytes on the wire; at least len(Frame)

	// The network layer. Network is empty when the frame holds no IP packet or is too short for its
	// link header.
	EtherType     uint16 // of the link layer; 0 if it has none: the version nibble counts
	Network       []byte // captured bytes from the IP header on, with those behind the packet
	NetworkLength int    // bytes on the wire from the IP header on, as the link layer has it

	VLANs []uint16 // 802.1Q tag control information, outermost first
	// Part is true for all packets but the first of a frame that holds several.
	Part bool

	// The parts of the link layer that Notation shows.
	ifIndex    uint32   // of Linux cooked v2
	packetType byte     // of Linux cooked v2
	labels     []uint32 // MPLS label stack entries, top first
	pppoe      bool
	session    uint16 // of PPPoE
	pppLength  int    // bytes on the wire from the PPP header on; 0 without PPP
	linkText   string // tcpdump's of Frame Relay
	// pppProtocol is the protocol number that tcpdump names for PPP in HDLC-like framing; 0 for
	// other frames.
	pppProtocol uint16

	order    binary.ByteOrder // of the file
	lengthAt int              // offset of a length field of 16 bits in the link header; 0 if there is none
	trailer  int              // captured bytes behind the network layer that belong to the link layer

	msdu    int // offset of the next packet in an 802.11 frame that holds several; 0 if there is none
	msduEnd int // bytes of that frame on the wire, without its check sequence

	unread string            // the answer of Unread, of the link layer
	inner  *Packet           // memory for the packet in a tunnel
	names  map[uint32]string // of this machine's interfaces, as far as they were needed
}

// Replace returns the frame with another network layer, which has length bytes on the wire, and the
// frame's length on the wire. Length fields of the link header follow.
func (p *Packet) Replace(network []byte, length int) (frame []byte, frameLength int) {
	end := len(p.Frame) - p.trailer
	frame = slices.Concat(p.Frame[:end-len(p.Network)], network, p.Frame[end:])
	if longer := length - p.NetworkLength; p.lengthAt > 0 && longer != 0 {
		field := frame[p.lengthAt:]
		binary.BigEndian.PutUint16(field, binary.BigEndian.Uint16(field)+uint16(longer))
	}
	return frame, p.FrameLength - p.NetworkLength + length
}

// LinkType is the kind of a frame's link header: a LINKTYPE_ value of
// https://www.tcpdump.org/linktypes.html.
type LinkType uint16

// The link types this package reads.
const (
	LinkTypeNull      LinkType = 0 // BSD loopback, host byte order
	LinkTypeEthernet  LinkType = 1
	LinkTypePPP       LinkType = 9
	LinkTypeFDDI      LinkType = 10
	LinkTypeRaw12     LinkType = 12 // raw IP under the DLT number of most systems
	LinkTypeRaw14     LinkType = 14 // raw IP under OpenBSD's DLT number
	LinkTypePPPHDLC   LinkType = 50 // PPP in HDLC-like framing (RFC 1662), or Cisco's
	LinkTypePPPoE     LinkType = 51
	LinkTypeRaw       LinkType = 101
	LinkTypeCHDLC     LinkType = 104 // Cisco's PPP with HDLC framing (RFC 1547 §4.3.1)
	LinkTypeWiFi      LinkType = 105 // IEEE 802.11
	LinkTypeFRelay    LinkType = 107 // Frame Relay (RFC 2427)
	LinkTypeLoop      LinkType = 108 // OpenBSD loopback, network byte order
	LinkTypeLinuxSLL  LinkType = 113
	LinkTypePFLOG     LinkType = 117 // log of OpenBSD's pf
	LinkTypePrism     LinkType = 119 // IEEE 802.11 behind a Prism or AVS header
	LinkTypeRadiotap  LinkType = 127 // IEEE 802.11 behind a radiotap header
	LinkTypeUser2     LinkType = 149 // PKTAP on older systems of Apple
	LinkTypeAVS       LinkType = 163 // IEEE 802.11 behind an AVS header
	LinkTypePPI       LinkType = 192 // a frame of another type behind per-packet information
	LinkTypeIPv4      LinkType = 228
	LinkTypeIPv6      LinkType = 229
	LinkTypeNFLOG     LinkType = 239 // log of Linux's netfilter
	LinkTypeIPoIB     LinkType = 242 // IP over InfiniBand (RFC 4391 §6)
	LinkTypePKTAP     LinkType = 258 // a frame of another type behind Apple's header
	LinkTypeLinuxSLL2 LinkType = 276
	LinkTypeBRCM      LinkType = 281 // Ethernet with the tag of a Broadcom switch
	LinkTypeBRCMFront LinkType = 282 // the same in front of the frame
	LinkTypeDSA       LinkType = 284 // Ethernet with the tag of a Marvell switch
	LinkTypeEDSA      LinkType = 285 // the same with an EtherType of its own
)

// A LinkTypeError is the link type of a packet that this package cannot take apart.
type LinkTypeError LinkType

func (e LinkTypeError) Error() string {
	return fmt.Sprintf("link type %d is not supported (supported: 1 Ethernet, 12, 14 and 101 raw IP, "+
		"228 IPv4, 229 IPv6, 113 and 276 Linux cooked, 0 and 108 BSD loopback, 9 and 50 PPP, 51 PPPoE, "+
		"104 Cisco HDLC, 105, 119, 127 and 163 802.11, 117 PFLOG, 239 NFLOG, 281 and 282 Broadcom tags, "+
		"284 and 285 DSA, 10 FDDI, 107 Frame Relay, 192 PPI, 242 IPoIB, 149 and 258 PKTAP)", uint16(e))
}
