package router

import (
	"testing"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/ring"
)

// newLog returns a log without sinks, which a writer takes to the end of the test.
func newLog(t *testing.T) *remote.Log {
	t.Helper()
	c := config.Default()
	ours, files, err := ring.New(message.RingSizes(c, false))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ring.Open(files, message.RingSizes(c, true))
	if err != nil {
		t.Fatal(err)
	}
	w := remote.NewWriter(audit.NewLog(nil, audit.LogOptions{}), ours, remote.Options{Limit: 1})
	ended := make(chan error, 1)
	go func() { ended <- w.Run() }()
	t.Cleanup(func() {
		_ = w.Close()
		<-ended
	})
	return remote.New(theirs)
}
