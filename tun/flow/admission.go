package flow

// Admission says whether a SYN may begin a handshake.
type Admission uint8

const (
	Admit  Admission = iota // the SYN passes
	Wait                    // the SYN is dropped; the client sends it again
	Refuse                  // the SYN is dropped and answered with ICMP "administratively prohibited"
)

// String returns the admission in lower case.
func (a Admission) String() string { return word(a, "admit", "wait", "refuse") }
