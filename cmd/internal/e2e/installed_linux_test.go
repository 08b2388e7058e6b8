package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestInstalledConfig runs the config of the service, but for its places, and asks the questions
// of README then, with no more words than there.
func TestInstalledConfig(t *testing.T) {
	t.Parallel()
	installed, err := os.ReadFile(filepath.Join(checkout, "configs/package/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lab := tuntest.NewLab(t)
	serveEchoes(lab)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, strings.NewReplacer("/var/log/syntap", r.dir, "/run/syntap", r.dir).Replace(string(installed)))
	ask := func(args ...string) result {
		return command(t, lab.Router, "env", append([]string{"SYNTAP_CONFIG=" + config, binary}, args...)...)
	}
	r.Process = lab.Router.Start("env", "SYNTAP_CONFIG="+config, binary, "run")
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	connections := scaled(500, 18_000)
	connectEchoes(t, lab, connections)
	r.waitRecords(t, connections)
	if got := ask("status"); got.status != 0 || !strings.Contains(got.stdout, strconv.Itoa(connections)) {
		t.Errorf("status: %+v", got)
	}
	want := result{stdout: fmt.Sprintf("%8d  established\n", connections), stderr: "syntap: config: " + config + "\n"}
	if diff := cmp.Diff(want, ask("log", "--top", "outcome"), cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	r.stop(t, unix.SIGTERM)
	if got := command(t, lab.Router, binary, append([]string{"verify"}, r.files(t, "*json*")...)...); got.status != 0 ||
		!strings.Contains(got.stdout, "the last run has ended in order") {
		t.Errorf("verify: %+v", got)
	}
}
