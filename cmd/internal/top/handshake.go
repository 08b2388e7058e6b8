package top

import (
	"encoding/json"
	"fmt"
	"time"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// opened is the record of a handshake as the detail shows it.
type opened struct{ record.Handshake }

func parse(data []byte) (*opened, error) {
	h := new(opened)
	if err := json.Unmarshal(data, &h.Handshake); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	h.clean()
	return h, nil
}

// clean makes the texts printable that the detail shows: another program may answer instead of the
// router.
func (h *opened) clean() {
	texts := []*string{&h.Outcome}
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

// clock writes the local time of day.
func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }
