package top

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/terminal"
)

// record is what the list and the detail show of a handshake: the keys of its JSON record.
type record struct {
	Seq               uint64    `json:"seq"`
	Time              time.Time `json:"time"`
	Outcome           string    `json:"outcome"`
	AbortedBy         string    `json:"aborted_by"`
	Src               string    `json:"src"`
	Sport             int       `json:"sport"`
	Dst               string    `json:"dst"`
	Dport             int       `json:"dport"`
	ClientISN         uint32    `json:"client_isn"`
	ServerISN         *uint32   `json:"server_isn"`
	Client            *offer    `json:"client"`
	Server            *offer    `json:"server"`
	SYNRetransmits    int       `json:"syn_retransmits"`
	SYNACKRetransmits int       `json:"synack_retransmits"`
	SYNACK            *int64    `json:"synack_us"`
	ACK               *int64    `json:"ack_us"`
	Lines             []string  `json:"lines"`
	Rewrites          []rewrite `json:"rewrites"`
	Upstream          *upstream `json:"upstream"`
	UID               *uint32   `json:"uid"`
	PID               int       `json:"pid"`
	Process           string    `json:"process"`
	CommunityID       string    `json:"community_id"`
}

// offer is what one side has announced.
type offer struct {
	MSS    *int  `json:"mss"`
	WScale *int  `json:"wscale"`
	SACKOK bool  `json:"sack_ok"`
	TS     *int  `json:"ts"`
	DF     *bool `json:"df"`
	TTL    int   `json:"ttl"`
	ECN    bool  `json:"ecn"`
}

type rewrite struct {
	Packet string `json:"packet"`
	What   string `json:"what"`
	From   string `json:"from"`
	To     string `json:"to"`
	Rule   int    `json:"rule"`
}

type upstream struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
	Dial   int64  `json:"dial_us"`
	MSS    int    `json:"mss"`
	Error  string `json:"error"`
}

func parseRecord(data []byte) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	r.clean()
	return r, nil
}

// clean makes all texts printable: a process has the name that it likes, and the router may be
// another program.
func (r *record) clean() {
	texts := []*string{&r.Outcome, &r.AbortedBy, &r.Src, &r.Dst, &r.Process, &r.CommunityID}
	for i := range r.Lines {
		texts = append(texts, &r.Lines[i])
	}
	for i := range r.Rewrites {
		w := &r.Rewrites[i]
		texts = append(texts, &w.Packet, &w.What, &w.From, &w.To)
	}
	if u := r.Upstream; u != nil {
		texts = append(texts, &u.Local, &u.Remote, &u.Error)
	}
	for _, text := range texts {
		*text = terminal.Clean(*text)
	}
}

// owner says which process of this host has opened the connection; "" if none is known.
func (r *record) owner() string {
	var words []string
	if r.Process != "" {
		words = append(words, r.Process)
	}
	if r.PID != 0 {
		words = append(words, fmt.Sprintf("process %d", r.PID))
	}
	if r.UID != nil {
		words = append(words, fmt.Sprintf("user %d", *r.UID))
	}
	return strings.Join(words, ", ")
}

func (r *record) client() string { return net.JoinHostPort(r.Src, strconv.Itoa(r.Sport)) }
func (r *record) server() string { return net.JoinHostPort(r.Dst, strconv.Itoa(r.Dport)) }

// mss returns what client and server have announced.
func (r *record) mss() string {
	of := func(o *offer) string {
		if o == nil || o.MSS == nil {
			return "-"
		}
		return strconv.Itoa(*o.MSS)
	}
	return of(r.Client) + "/" + of(r.Server)
}

// note says what is special about the handshake.
func (r *record) note() string {
	var notes []string
	if r.Upstream != nil && r.Upstream.Error != "" {
		notes = append(notes, r.Upstream.Error)
	}
	if r.AbortedBy != "" {
		notes = append(notes, "by "+r.AbortedBy)
	}
	for _, w := range r.Rewrites {
		if note := fmt.Sprintf("%s %s→%s", w.What, w.From, w.To); !slices.Contains(notes, note) { // often the same both ways
			notes = append(notes, note)
		}
	}
	if n := r.SYNRetransmits + r.SYNACKRetransmits; n > 0 {
		notes = append(notes, fmt.Sprintf("%d retransmitted", n))
	}
	if r.Process != "" {
		notes = append(notes, r.Process)
	}
	return strings.Join(notes, ", ")
}

// matches reports whether the record has all words of a text.
func (r *record) matches(words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(strings.Join([]string{r.client(), r.server(), r.Outcome, r.note()}, " "))
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// duration writes microseconds with three digits that count; nil is a time that nobody knows.
func duration(us *int64) string {
	switch {
	case us == nil:
		return "-"
	case *us < 1000:
		return fmt.Sprintf("%d µs", *us)
	case *us < 1_000_000:
		return threeDigits(float64(*us)/1e3) + " ms"
	}
	return threeDigits(float64(*us)/1e6) + " s"
}

func threeDigits(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%#.3g", v), ".") }

// clock writes the local time of day.
func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }
