package route

// Notice is a fact about the host that the operator should know.
type Notice struct {
	Text string
	Hint string // the command or the config key that changes it; "" if none does
	Info bool   // no change is needed
}

// Report holds the callbacks of [Host.Watch]. None of them may block.
type Report struct {
	// Repair is called for each command that Watch has repeated. A non-nil error means that the
	// command failed or, with the command "", that the host was not read or the journal not
	// written. Watch will try again.
	Repair func(command string, err error)
	// Looked is called after each survey of the host, with all notices. nil disables it.
	Looked func([]Notice)
	// Past is called with the packets that went past the TUN since the last call. nil disables it.
	Past func([]Past)
}

// Enforce is the treatment of a packet that should have entered the TUN and leaves the host by
// another interface.
type Enforce string

// The values of [Enforce].
const (
	EnforceReject Enforce = "reject" // drop and count it
	EnforceCount  Enforce = "count"  // count it
	EnforceOff    Enforce = "off"
)

// Past counts packets that should have entered the TUN and left by another interface, or would
// have.
type Past struct {
	UID       int    // user id of the socket; -1 if there is no socket
	From      string // interface of arrival; "" for this host's own packets
	Interface string // interface of departure
	Refused   bool   // they were dropped: [EnforceReject]
	Query     bool   // to the host's nameservers, which pass: [QueryHint]
	Packets   uint64
}

// Cleaned is the outcome of [Cleanup] for one run.
type Cleaned struct {
	Name     string   // of the interface
	Running  bool     // left alone: the run is alive
	Kept     bool     // left alone: the host stays closed
	Failed   bool     // not all changes could be undone
	Commands []string // equivalent shell commands
}
