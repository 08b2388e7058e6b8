package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLearnPrograms has each real program run once by "exec --learn", and then twenty times under
// the policy that was written: all of them pass, and do nothing that is new. Then the program has
// got a beacon, which is all that is.
func TestLearnPrograms(t *testing.T) {
	t.Parallel()
	if !soak() {
		t.Skip("a soak has all programs")
	}
	requireTools(t, "curl", "dnsmasq", "unshare")
	only := os.Getenv("SYNTAP_PROGRAMS")
	var all []clientProgram
	for _, p := range clientPrograms {
		if p.missing() == "" && (only == "" || slices.Contains(strings.Split(only, ","), p.name)) {
			all = append(all, p)
		}
	}
	lab := newProgramLab(t, all)
	const rounds = 20
	running, passed := make(chan struct{}, 6), make(chan string, len(all))
	var raw sync.Mutex
	var wg sync.WaitGroup
	var late []string
	for i := range all {
		running <- struct{}{}
		p := &all[i]
		if end, ok := t.Deadline(); ok && time.Until(end) < timeOfProgram {
			late = append(late, p.name)
			<-running
			continue
		}
		wg.Go(func() {
			defer func() { <-running }()
			if slices.Contains(strings.Fields(p.want), "icmp") {
				raw.Lock()
				defer raw.Unlock()
			}
			if lab.learn(t, p, rounds) {
				passed <- p.name
				reportf(t, "%s passes", p.name)
			}
		})
	}
	wg.Wait()
	if late != nil {
		t.Errorf("no time for SYNTAP_PROGRAMS=%s", strings.Join(late, ","))
	}
	reportf(t, "%d of %d programs pass %d times under the policy that was learned of them", len(passed), len(all), rounds)
}

// timeOfProgram is more than one program's rounds take, beside others and on a busy machine.
const timeOfProgram = 5 * time.Minute

// learn learns a policy from a program, and has it run under that. It reports whether all was well.
func (lab *programLab) learn(t *testing.T, p *clientProgram, rounds int) bool {
	t.Helper()
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	run := func(log, script string, flags ...string) result {
		line := slices.Concat([]string{binary, "exec", "--format", "json", "-o", filepath.Join(dir, log)}, flags,
			[]string{"--", "env"}, lab.environment(p), []string{"DIR=" + lab.copyOfDir(t), "sh", "-c", script})
		line = lab.etc.resolving(line...)
		return command(t, lab.Router, line[0], line[1:]...)
	}
	isNew := func() (lines []string) {
		got := command(t, lab.Router, binary, "diff", filepath.Join(dir, "old.json"), filepath.Join(dir, "new.json"))
		for line := range strings.Lines(got.stdout) {
			transfer := strings.Contains(p.want, "tcp:21") && strings.Contains(line, p.host()+":") // at any port
			if !transfer {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if got := run("old.json", p.script, "--learn", policy); got.status != 0 {
		t.Errorf("%s: learning: %+v", p.name, got)
		return false
	}
	for i := range rounds {
		got := run("new.json", p.script, "--policy", policy)
		if diff := isNew(); got.status != 0 || diff != nil {
			text, _ := os.ReadFile(policy)
			t.Errorf("%s: time %d under its policy: %+v\nnew: %q\n%s", p.name, i+1, got, diff, text)
			return false
		}
		_ = os.Remove(filepath.Join(dir, "new.json"))
	}
	run("new.json", "("+p.script+")\ncurl -s -m 30 http://beacon.example.com", "--policy", policy)
	if diff := isNew(); len(diff) != 1 || !strings.Contains(diff[0], "beacon.example.com") {
		t.Errorf("%s: new with a beacon: %q", p.name, diff)
		return false
	}
	return true
}

// copyOfDir returns a directory with what programs find in the lab's, and without what others have
// left.
func (lab *programLab) copyOfDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(lab.dir)
	must(t, err)
	for _, e := range entries {
		must(t, os.Symlink(filepath.Join(lab.dir, e.Name()), filepath.Join(dir, e.Name())))
	}
	return dir
}
