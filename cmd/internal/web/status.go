package web

import (
	"encoding/json"
	"net/http"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/record"
)

// Status is the state of a running router; /api/status has it as JSON.
type Status struct {
	Version   string    `json:"version"`
	RunID     string    `json:"run_id"` // of the router's records
	PID       int       `json:"pid"`    // of the process that takes signals
	Interface string    `json:"interface"`
	Started   time.Time `json:"started"`
	Uptime    float64   `json:"uptime_seconds"`
	// Processes are those of syntap, with their rights; none where they cannot be told.
	Processes []isolate.Process `json:"processes,omitempty"`
	Counters
}

// Counters are the totals of a router since its start, and its present state. Maps have a key for
// each word there is, counted or not.
type Counters struct {
	Handshakes    map[string]uint64 `json:"handshakes"`     // by outcome
	Drops         map[string]uint64 `json:"drops"`          // frames not carried, by reason
	LocalFailures map[string]uint64 `json:"local_failures"` // of host sockets, by errno; only those that have happened
	Flows         map[string]int64  `json:"flows"`          // now, by protocol
	HalfOpen      int64             `json:"half_open"`      // now
	Memory        Memory            `json:"memory"`         // now
	Outbound      Traffic           `json:"outbound"`       // client to world
	Inbound       Traffic           `json:"inbound"`
	MSSRewrites   map[string]uint64 `json:"mss_rewrites"` // by packet
	DFRewrites    map[string]uint64 `json:"df_rewrites"`  // by action
	MSSRules      []Rule            `json:"mss_rules"`    // in their order
	DFRules       []Rule            `json:"df_rules"`
	LogRecords    uint64            `json:"log_records"`    // handed to the sinks
	LogLost       map[string]uint64 `json:"log_lost"`       // by reason
	Unsolicited   uint64            `json:"unsolicited"`    // datagrams to clients from where they had not sent
	Findings      []record.Finding  `json:"findings"`       // now, those that have not expired
	Found         []Found           `json:"found"`          // findings since the start
	Sent          *Sent             `json:"sent,omitempty"` // compared with records; absent in exec
	Owners        *Owners           `json:"owners,omitempty"`
	Names         *Names            `json:"names,omitempty"`
	Fleet         []fleet.Stats     `json:"fleet,omitempty"` // by store; absent where the log is sent to none
}

// Found counts findings of a kind and a direction.
type Found struct {
	Kind      string `json:"kind"`
	Direction string `json:"direction"`
	Count     uint64 `json:"count"`
}

// Sent counts the connections and flows that routers have sent, as the kernel has seen them since
// the run began.
type Sent struct {
	Error      string `json:"error,omitempty"` // why they are not compared with records
	Flows      uint64 `json:"flows"`
	Own        uint64 `json:"own"`        // connections that it has announced as its own
	Unrecorded uint64 `json:"unrecorded"` // on no record
	Unjudged   uint64 `json:"unjudged"`   // of which nothing can be said: records were lost, or destinations forgotten
	Missed     uint64 `json:"missed"`     // packets of which the kernel could not tell
	Closed     bool   `json:"closed"`     // nothing new leaves any more, since some were unrecorded
}

// Memory is the memory of all connections together, in bytes.
type Memory struct {
	Held     int64 `json:"held"`     // in the program and in the kernel's sockets
	Reserved int64 `json:"reserved"` // for held memory and its possible growth; a new connection fits below the limit, or waits
	Limit    int64 `json:"limit"`    // limits.memory
}

// Names counts the addresses whose names clients have asked for. It is nil where names are not
// shown.
type Names struct {
	Addresses int    `json:"addresses"` // of all clients, lately
	InUse     int    `json:"in_use"`    // connections and flows that have a name
	Evicted   uint64 `json:"evicted"`   // addresses that gave way to others
}

// Owners counts the connections of local clients by whether their process is known. It is nil where
// none is looked for.
type Owners struct {
	Error    string            `json:"error,omitempty"` // why none can be found
	Lacks    []string          `json:"lacks,omitempty"` // capabilities; without them processes of other users cannot be found
	Found    uint64            `json:"found"`
	NotFound map[string]uint64 `json:"not_found"` // by reason
}

// Rule is a rule of the config in words, and the packets it has changed or refused since it was put
// in force.
type Rule struct {
	Rule string `json:"rule"`
	Hits uint64 `json:"hits"`
}

// Traffic counts frames on the TUN in one direction.
type Traffic struct {
	Frames uint64 `json:"frames"`
	Bytes  uint64 `json:"bytes"`
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	status, err := s.o.Status(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status) // only the peer can fail
}
