package flow

// Proto is the protocol of a flow.
type Proto uint8

const (
	TCP  Proto = iota
	UDP        // one flow for each client socket and destination; DNS, one for each query
	ICMP       // echo requests with one identifier to one destination
)

// String returns the protocol in lower case.
func (p Proto) String() string { return word(p, "tcp", "udp", "icmp") }
