//go:build linux

package keeper

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/shipping"
)

// A log that is to be sent to stores, and is not, is told of.
func TestFleetOfRunAlone(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Tap.Log = []config.Sink{{Format: config.JSON, Path: filepath.Join(t.TempDir(), "log.json")}}
	c.Fleet.Stores = []config.FleetStore{{URL: "https://logs1:9428"}}
	for _, f := range []*shipping.Fleet{nil, {}} {
		logger, hook := logrustest.NewNullLogger()
		log, err := OpenLog(c, io.Discard, logger, f)
		if err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := log.Run(ended); err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(hook.AllEntries(), func(e *logrus.Entry) bool {
			return strings.Contains(e.Message, "fleet.stores")
		})
		if told != (f == nil) {
			t.Errorf("with a fleet %t, told %t", f != nil, told)
		}
	}
}
