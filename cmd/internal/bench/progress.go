package main

import (
	"fmt"
	"io"
	"math"
	"time"
)

// progress tells which case runs and how long the rest takes.
type progress struct {
	w           io.Writer
	done, total int
	start       time.Time
	each        time.Duration // of a trial, before there is experience
}

func newProgress(w io.Writer, total int, each time.Duration) *progress {
	return &progress{w: w, total: total, start: time.Now(), each: each}
}

// next begins another trial.
func (p *progress) next(router, name string, repetition, of int) {
	each := p.each
	if p.done > 0 {
		each = time.Since(p.start) / time.Duration(p.done)
	}
	left := about(each * time.Duration(p.total-p.done))
	fmt.Fprintf(p.w, "measuring %s, %s, %d of %d, %s left\n", router, name, repetition, of, left)
	p.done++
}

// about rounds the rest of a run to a figure that its reader can use.
func about(d time.Duration) string {
	switch minutes := int(math.Round(d.Minutes())); minutes {
	case 0:
		return "less than a minute"
	case 1:
		return "about a minute"
	default:
		return fmt.Sprintf("about %d minutes", minutes)
	}
}
