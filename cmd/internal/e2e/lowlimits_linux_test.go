package e2e_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestLowLimits starts a router where a user may have one process. That says nothing for root, but
// for the user of its own that the router has.
func TestLowLimits(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTools(t, "curl", "prlimit")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	r.Process = lab.Router.Start("prlimit", "--nproc=1", binary, "run", "-c", r.writeConfig(t, everything))
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", "--max-time", "60", url)
	}
	r.stop(t, unix.SIGTERM)
}
