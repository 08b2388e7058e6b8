//go:build linux

package stack

import "slices"

// crowd tells whether many uploads are in full swing (Options.Crowded). It keeps no time: it looks
// at which halves a worker runs, one after the other.
//
//	          another upload than the last three: score + 2
//	          one of them: - 1, anything else: - 16
//	             ╭────╮
//	quiet ──▶ scoring ─┴─ fullCrowd ──▶ crowded ── score 0 ──▶ quiet
//
// Anything else is a download, which goes no faster with a second processor, something that moves
// little, which is served sooner without, or an upload beside such.
type crowd struct {
	changed func(crowded bool) // nil = nobody asks
	recent  [3]*half           // the last uploads
	score   int                // 0 to fullCrowd
	crowded bool
}

// fullCrowd is reached after a tenth of a second or less.
const fullCrowd = 512

// ran notes that a worker is about to run a half; bulk: it is in full swing, and so is everything
// else.
func (c *crowd) ran(h *half, bulk bool) {
	if c.changed == nil {
		return
	}
	switch {
	case !bulk || h.inbound():
		c.score -= 16
	case slices.Contains(c.recent[:], h):
		c.score--
	default:
		c.score += 2
		c.recent[0], c.recent[1], c.recent[2] = c.recent[1], c.recent[2], h
	}
	c.score = min(max(c.score, 0), fullCrowd)
	if crowded := c.score == fullCrowd || c.crowded && c.score > 0; crowded != c.crowded {
		c.crowded = crowded
		c.changed(crowded)
	}
}
