package tcpdump

// Packet is one packet as it was captured, from its first IP byte on.
type Packet struct {
	Data      []byte   // captured bytes: IP header, TCP header, perhaps payload
	Length    int      // bytes on the wire from the IP header on; at least len(Data)
	EtherType uint16   // what the link layer said: 0x0800, 0x86dd; 0 = unknown, trust the version nibble
	VLANs     []uint16 // 802.1Q tag control information, outermost first

	// Prefix is what the two dialects (its indexes) write in front for a link layer that is neither
	// Ethernet nor raw IP, such as "IP 48: " (PPP, Classic) or "lo    In  " (Linux cooked v2,
	// Modern).
	Prefix [2]string
}
