package tcpdump

// Packet is one packet as it was captured, from its first IP byte on.
type Packet struct {
	Data      []byte   // captured bytes: IP header, TCP header, perhaps payload
	Length    int      // bytes on the wire from the IP header on, as the link layer has it; 0: those captured
	EtherType uint16   // of the link layer: 0x0800, 0x86dd; 0: unknown, the version nibble counts
	VLANs     []uint16 // 802.1Q tag control information, outermost first

	// Prefix is the start of the line in the two dialects (its indexes) for a link layer that is
	// neither Ethernet nor raw IP, such as "IP 48: " (PPP, Classic) or "lo    In  " (Linux cooked
	// v2, Modern).
	Prefix [2]string
}
