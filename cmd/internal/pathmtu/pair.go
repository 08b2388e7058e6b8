package pathmtu

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"syntap/cmd/internal/record"
)

// Pair is the comparison of two logs of the same handshakes, as they were near their clients and
// near their servers. The initial sequence numbers tell which are the same, whatever a NAT has made
// of the addresses.
type Pair struct {
	Handshakes int      `json:"handshakes"` // that both logs have
	Near       int      `json:"near"`       // that only the log near the clients has
	Far        int      `json:"far"`        // that only the other one has
	Changes    []Change `json:"changes"`    // the most frequent first
}

// Change is a change of a SYN or SYN-ACK on its way. A value is empty where the option is absent.
type Change struct {
	Packet string `json:"packet"` // syn, from near to far; synack, from far to near
	What   string `json:"what"`   // mss, sack, wscale, ts, ecn, df, win, ttl
	From   string `json:"from"`
	To     string `json:"to"`
	Count  int    `json:"count"` // handshakes
}

// isns names a handshake. Of one without a SYN-ACK server is 0.
type isns struct{ client, server uint32 }

// Compare compares the JSON logs of two places.
func Compare(near, far io.Reader) (*Pair, error) {
	there, err := offers(far)
	if err != nil {
		return nil, err
	}
	here, err := offers(near)
	if err != nil {
		return nil, err
	}
	p := &Pair{Changes: []Change{}}
	counts := make(map[Change]int)
	for key, n := range here {
		f, ok := there[key]
		if !ok {
			p.Near++
			continue
		}
		delete(there, key)
		p.Handshakes++
		compare(counts, "syn", n.client, f.client)
		compare(counts, "synack", f.server, n.server)
	}
	p.Far = len(there)
	for change, n := range counts {
		change.Count = n
		p.Changes = append(p.Changes, change)
	}
	slices.SortFunc(p.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Packet, b.Packet), cmp.Compare(a.What, b.What),
			cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return p, nil
}

// both is the offers of the two sides of a handshake.
type both struct{ client, server *record.Offer }

// offers reads the handshakes of a log. Of those with the same numbers, such as repeated ones, the
// first counts.
func offers(log io.Reader) (map[isns]both, error) {
	all := make(map[isns]both)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, record.MaxLine)
	for n := 1; lines.Scan(); n++ {
		var h record.Handshake
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			return nil, fmt.Errorf("line %d is no JSON record: %w", n, err)
		}
		if h.Msg != "handshake" || h.Client == nil {
			continue
		}
		key := isns{client: h.ClientISN}
		if h.ServerISN != nil {
			key.server = *h.ServerISN
		}
		if _, ok := all[key]; !ok {
			all[key] = both{h.Client, h.Server}
		}
	}
	return all, lines.Err()
}

// compare counts the differences between an offer as it was sent and as it arrived.
func compare(counts map[Change]int, packet string, sent, arrived *record.Offer) {
	if sent == nil || arrived == nil {
		return
	}
	before, after := values(sent), values(arrived)
	for i := range before {
		if before[i].value != after[i].value {
			counts[Change{Packet: packet, What: before[i].what, From: before[i].value, To: after[i].value}]++
		}
	}
}

type value struct{ what, value string }

// values returns the members of an offer. A timestamp differs from one handshake to the next, so
// its presence counts alone.
func values(o *record.Offer) []value {
	word := func(yes bool, text string) string {
		if yes {
			return text
		}
		return ""
	}
	mss, wscale, df := "", "", ""
	if o.MSS != nil {
		mss = strconv.Itoa(int(*o.MSS))
	}
	if o.WScale != nil {
		wscale = strconv.Itoa(int(*o.WScale))
	}
	if o.DF != nil {
		df = word(*o.DF, "set")
	}
	return []value{
		{"mss", mss},
		{"sack", word(o.SACKOK, "permitted")},
		{"wscale", wscale},
		{"ts", word(o.TS != nil, "present")},
		{"ecn", word(o.ECN, "offered")},
		{"df", df},
		{"win", strconv.Itoa(int(o.Win))},
		{"ttl", strconv.Itoa(int(o.TTL))},
	}
}

// Meddled reports whether something on the way has changed more than the time to live, which each
// router lowers.
func (p *Pair) Meddled() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.What != "ttl" })
}

// Report returns the comparison as text.
func (p *Pair) Report() string {
	var b strings.Builder
	noun := "handshakes"
	if p.Handshakes == 1 {
		noun = "handshake"
	}
	fmt.Fprintf(&b, "%d %s in both logs, %d near the clients alone, %d near the servers alone\n", p.Handshakes, noun, p.Near, p.Far)
	for _, c := range p.Changes {
		packet := map[string]string{"syn": "SYN", "synack": "SYN-ACK"}[c.Packet]
		fmt.Fprintf(&b, "  %-8s %-7s %s → %s, %d of %d\n",
			packet, c.What, cmp.Or(c.From, "none"), cmp.Or(c.To, "none"), c.Count, p.Handshakes)
	}
	if !p.Meddled() && p.Handshakes > 0 {
		b.WriteString("unchanged on the way\n")
	}
	return b.String()
}
