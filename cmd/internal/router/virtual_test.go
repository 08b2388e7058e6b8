//go:build linux

package router

import (
	"testing"

	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
)

// TestDNSTunnelIsFinding has a domain be asked too much: that is a finding, counted and on record,
// where findings are not off, and a warning in each case.
func TestDNSTunnelIsFinding(t *testing.T) {
	t.Parallel()
	for findings, want := range map[config.Findings]uint64{config.Report: 1, config.Apply: 1, config.FindingsOff: 0} {
		c := config.Default()
		c.Tap.Findings = findings
		log, said := logrustest.NewNullLogger()
		r := &router{config: c, logger: log, log: newLog(t)}
		r.exceeded()("example.com", 61)
		s := r.log.Stats()
		if n := s.Found[audit.Found{Kind: record.DNSTunnel}]; n != want || s.Records != want {
			t.Errorf("%s: %d findings, %d records, want %d", findings, n, s.Records, want)
		}
		if n := len(said.AllEntries()); n != 1 {
			t.Errorf("%s: %d warnings, want one", findings, n)
		}
	}
}
