package top

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// row is a record as the list and the detail show it.
type row struct{ record.Handshake }

func parse(data []byte) (*row, error) {
	h := new(row)
	if err := json.Unmarshal(data, &h.Handshake); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	h.clean()
	return h, nil
}

// clean makes all texts printable: a process chooses its name, and another program may answer
// instead of the router.
func (h *row) clean() {
	texts := []*string{
		&h.Outcome, &h.AbortedBy, &h.Src, &h.Dst, &h.User, &h.Process, &h.Exe, &h.Unit, &h.Container,
		&h.CommunityID,
	}
	for i := range h.Lines {
		texts = append(texts, &h.Lines[i])
	}
	for i := range h.Rewrites {
		w := &h.Rewrites[i]
		texts = append(texts, &w.Packet, &w.What, (*string)(&w.From), (*string)(&w.To))
	}
	if u := h.Upstream; u != nil {
		texts = append(texts, &u.Local, &u.Remote, &u.Error)
	}
	for _, text := range texts {
		*text = terminal.Clean(*text)
	}
}

// owner says which process of this host has opened the connection; "" if none is known.
func (h *row) owner() string {
	var words []string
	if h.Process != "" {
		words = append(words, h.Process)
	}
	if h.PID != 0 {
		words = append(words, fmt.Sprintf("process %d", h.PID))
	}
	switch {
	case h.User != "":
		words = append(words, "user "+h.User)
	case h.UID != nil:
		words = append(words, fmt.Sprintf("user %d", *h.UID))
	}
	return strings.Join(words, ", ")
}

func (h *row) client() string { return net.JoinHostPort(h.Src, strconv.Itoa(int(h.SPort))) }
func (h *row) server() string { return net.JoinHostPort(h.Dst, strconv.Itoa(int(h.DPort))) }

// mss returns the MSS of client and server, as announced.
func (h *row) mss() string {
	of := func(o *record.Offer) string {
		if o == nil || o.MSS == nil {
			return "-"
		}
		return strconv.Itoa(int(*o.MSS))
	}
	return of(h.Client) + "/" + of(h.Server)
}

// note lists the peculiarities of the handshake.
func (h *row) note() string {
	var notes []string
	if h.Upstream != nil && h.Upstream.Error != "" {
		notes = append(notes, h.Upstream.Error)
	}
	if h.AbortedBy != "" {
		notes = append(notes, "by "+h.AbortedBy)
	}
	for _, w := range h.Rewrites {
		note := fmt.Sprintf("%s %s→%s", w.What, cmp.Or(w.From, "none"), w.To)
		if !slices.Contains(notes, note) { // often the same both ways
			notes = append(notes, note)
		}
	}
	if n := h.SYNRetransmits + h.SYNACKRetransmits; n > 0 {
		notes = append(notes, fmt.Sprintf("%d retransmitted", n))
	}
	if h.Process != "" {
		notes = append(notes, h.Process)
	}
	return strings.Join(notes, ", ")
}

// matches reports whether the record has all words of a text.
func (h *row) matches(words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(strings.Join([]string{h.client(), h.server(), h.Outcome, h.note()}, " "))
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// duration writes microseconds with three significant digits; nil is an unknown time.
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
