package pathmtu

import "net/netip"

// Verdicts on a path.
const (
	Clear         = "clear"
	BlackHoleUp   = "black hole up"
	BlackHoleDown = "black hole down"
	Both          = "both"
	Undecided     = "undecided"
)

// Result is a measured path. Sizes are lengths of whole IP packets in bytes.
type Result struct {
	Address  netip.AddrPort `json:"address"`
	Protocol Protocol       `json:"protocol"` // spoken on the port
	Verdict  string         `json:"verdict"`
	Up       *Sizes         `json:"up"`   // towards the far end; nil: nothing was acknowledged
	Down     *Sizes         `json:"down"` // from it; nil: it sent no full segment
	ICMP     *int           `json:"icmp"` // path MTU towards the far end by ICMP; nil: no word
	MSS      MSS            `json:"mss"`
	Clamp    *int           `json:"clamp"` // the MSS that cures it; nil: nothing to cure
	Hops     []Hop          `json:"hops"`  // those that answer
	LinkMTU  int            `json:"link_mtu"`
	Note     string         `json:"note,omitempty"` // the obstacle to a decision
	Late     bool           `json:"-"`              // its time was over: sizes may be missing, or not exact
	Disagree bool           `json:"-"`              // a size fails on some connections and passes on others

	noUp, noDown string // the obstacle, if there are no sizes
}

// Sizes are the largest packet that passes and the smallest known not to; Fails is nil where the
// largest packet that the sender makes passes.
type Sizes struct {
	Passes int  `json:"passes"`
	Fails  *int `json:"fails"`

	silent bool // the packets vanished, without ICMP that made the sender reduce them
}

// MSS is the maximum segment size that each side announced. The server's is seen only up to the
// client's own path MTU, since the kernel keeps no more of it.
type MSS struct {
	Client int `json:"client"`
	Server int `json:"server"`
}

// Hop is a router on the way, or the far end, that answered a probe with a small TTL.
type Hop struct {
	TTL     int        `json:"ttl"`
	Address netip.Addr `json:"address"`
	Full    bool       `json:"full"` // it answered a probe of the link's MTU
	Far     bool       `json:"far"`  // the far end itself
}

// headers is the length of an IP and a TCP header without options.
func headers(address netip.Addr) int {
	if address.Is4() {
		return 40
	}
	return 60
}

// decide fills in Verdict and Clamp.
func (r *Result) decide() {
	up, down := r.Up != nil && r.Up.silent, r.Down != nil && r.Down.silent
	switch {
	case up && down:
		r.Verdict = Both
	case up:
		r.Verdict = BlackHoleUp
	case down:
		r.Verdict = BlackHoleDown
	case r.Up == nil || r.Down == nil:
		r.Verdict = Undecided
	default:
		r.Verdict = Clear
	}
	if !up && !down {
		return
	}
	size := r.LinkMTU
	for _, s := range []*Sizes{r.Up, r.Down} {
		if s != nil && s.silent { // other senders know their size
			size = min(size, s.Passes)
		}
	}
	clamp := size - headers(r.Address.Addr())
	r.Clamp = &clamp
}
