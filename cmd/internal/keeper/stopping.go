//go:build linux

package keeper

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// stopping names the step of a stop that is slow, or is asked for once more.
type stopping struct {
	log logrus.FieldLogger
	at  atomic.Value // string
}

// slow is how long a stop may take before it names its step, and how long until it does so
// again.
const slow = time.Second

// watch logs the step, when it is slow or again asks for a stop, from the end of ctx until done is
// closed.
func (s *stopping) watch(ctx context.Context, again <-chan os.Signal, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	tick := time.NewTicker(slow)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-again:
			s.log.WithField("at", s.at.Load()).Warn("stopping already; killed now, it would leave the host closed until \"syntap cleanup\"")
		case <-tick.C:
			s.log.WithField("at", s.at.Load()).Info("still stopping")
		}
	}
}
