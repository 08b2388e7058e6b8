package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestDamagedJournal kills a run and damages its journal: the next run and cleanup name the file,
// the fault and the command that opens the host.
func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	before := lab.Router.State()
	state := t.TempDir()
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything)
	syntap := func(args ...string) result {
		return command(t, lab.Router, "env", append([]string{"RUNTIME_DIRECTORY=" + state, binary}, args...)...)
	}
	r.Process = lab.Router.Start("env", "RUNTIME_DIRECTORY="+state, binary, "run", "-c", config)
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.ended(t, "SIGKILL")
	tuntest.Wait(t, "the end of the interface", func() bool { return !strings.Contains(lab.Router.Run("ip", "link"), ": syntap0:") })
	journals, err := filepath.Glob(filepath.Join(state, "*.journal"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("journals are %q, %v, want one", journals, err)
	}
	if err := os.WriteFile(journals[0], []byte("\x00\x00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("syntap: journal cannot be read: %s, line 1: invalid character '\\x00' looking for beginning of value\n"+
		"hint: \"syntap cleanup --force -c FILE\" undoes all that a run with the config FILE changes, and removes the journal\n", journals[0])
	for _, args := range [][]string{{"run", "-c", config}, {"cleanup"}} {
		if got := syntap(args...); got.status != 1 || !strings.HasSuffix(got.stderr, said) || got.stdout != "" {
			t.Errorf("%s: %+v, want status 1 and %q", args[0], got, said)
		}
	}
	if got := syntap("cleanup", "--force", "-c", config); got.status != 0 || !strings.HasSuffix(got.stdout, "\nsyntap0 cleaned up\n") {
		t.Errorf("cleanup --force: %+v, want status 0 and the end of the work", got)
	}
	if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	if got := syntap("cleanup", "-c", config); got.status != 2 {
		t.Errorf("cleanup -c: %+v, want status 2", got)
	}
}
