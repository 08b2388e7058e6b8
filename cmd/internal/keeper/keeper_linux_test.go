package keeper

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// TestReplaceTellsOnce has a keeper fail to start routers. It says so once a minute, not at each of
// its attempts.
func TestReplaceTellsOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	attempts := 0
	var said bytes.Buffer
	k := &keeper{log: logrus.New(), start: func(func() error) error {
		if attempts++; attempts == 8 {
			cancel()
		}
		return errors.New("no such program")
	}}
	k.log.SetOutput(&said)
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.openRecords(c, io.Discard); err != nil {
		t.Fatal(err)
	}
	k.records.start()
	defer k.records.close() //nolint:errcheck // there are none
	k.config.Store(c)
	if _, err := k.replace(ctx, restarts(time.Hour)); err == nil {
		t.Error("replace has a router")
	}
	if n := strings.Count(said.String(), "no such program"); n != 1 || attempts != 8 {
		t.Errorf("%d attempts, said %d times, want 8 and 1:\n%s", attempts, n, &said)
	}
}

// TestRestarts has a process die again and again.
func TestRestarts(t *testing.T) {
	t.Parallel()
	limit, now := restarts(time.Second), time.Now()
	for i := range 20 {
		if got := limit.AllowN(now, 1); got != (i < 10) {
			t.Errorf("start %d at once: %v", i+1, got)
		}
	}
	for i := range 20 {
		now = now.Add(time.Second)
		if !limit.AllowN(now, 1) {
			t.Errorf("no start %d, a second after the one before", i+1)
		}
	}
}
