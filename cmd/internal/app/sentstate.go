//go:build linux

package app

import "syntap/cmd/internal/sent"

// sentState is the state of the comparison, for the router to show.
type sentState struct {
	Stats               sent.Stats
	Why                 string // nothing is compared
	Closed              bool
	Invalid, Unrecorded uint64 // findings of the keeper
}
