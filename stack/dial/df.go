package dial

// DF says what a host socket does about the don't-fragment bit of IPv4 (IP_MTU_DISCOVER).
type DF uint8

const (
	KernelDF DF = iota // the kernel decides
	SetDF              // on every packet; what is too long is not sent
	ClearDF            // on none
)
