package dial

// DF is a host socket's treatment of the don't-fragment bit of IPv4 (IP_MTU_DISCOVER).
type DF uint8

const (
	KernelDF DF = iota // the kernel decides
	SetDF              // on every packet; longer ones than the path MTU are not sent
	ClearDF            // on none
)
