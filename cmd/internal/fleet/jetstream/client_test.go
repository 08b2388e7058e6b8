package jetstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestMuted: a client that may not publish tries again after a while, since it may be given the
// right.
func TestMuted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m muted
		refused := fmt.Errorf(`%w: Permissions Violation for Publish to "syntap.v1.gate.0123"`, nats.ErrPermissionViolation)
		other := fmt.Errorf(`%w: Permissions Violation for Publish to "$JS.API.INFO"`, nats.ErrPermissionViolation)
		for range 2 {
			if m.note(nil, nil, other); m.is() {
				t.Error("muted by the word about another subject")
			}
			word := m.word()
			m.note(nil, nil, refused)
			select {
			case <-word:
			default:
				t.Error("the word does not end a wait for it")
			}
			time.Sleep(mutedFor / 2)
			m.note(nil, nil, refused)
			time.Sleep(mutedFor - time.Nanosecond)
			if !m.is() {
				t.Error("not muted any more before the last word is old")
			}
			if time.Sleep(time.Nanosecond); m.is() {
				t.Error("still muted")
			}
		}
	})
}
