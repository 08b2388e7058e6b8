package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// soak tells whether the long forms of tests are to run ("make soak").
func soak() bool { return os.Getenv("SYNTAP_SOAK") != "" }

// scaled returns how much of something a test does: short in an ordinary run, long in a soak.
func scaled(short, long int) int {
	if soak() {
		return long
	}
	return short
}

// reportf writes a figure to the test's log and to the report of a soak, the file that
// SYNTAP_SOAK_REPORT names.
func reportf(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	name := os.Getenv("SYNTAP_SOAK_REPORT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "%s: %s\n", t.Name(), line)
	if closeErr := f.Close(); err != nil || closeErr != nil {
		t.Errorf("write report: %v, %v", err, closeErr)
	}
}

// usage is a router's share of its host's memory and time.
type usage struct {
	rss         int // bytes
	peak        int // of rss, in bytes
	descriptors int
	threads     int
}

// usage reads /proc, and adds up both processes.
func (r *router) usage(t *testing.T) usage {
	t.Helper()
	var u usage
	for _, pid := range []int{r.PID(), r.routerPID(t)} {
		dir := fmt.Sprintf("/proc/%d", pid)
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			n, _ := strconv.Atoi(f[1])
			switch f[0] {
			case "VmRSS:":
				u.rss += n << 10
			case "VmHWM:":
				u.peak += n << 10
			case "Threads:":
				u.threads += n
			}
		}
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			t.Fatal(err)
		}
		u.descriptors += len(fds)
	}
	return u
}

var carriedField = regexp.MustCompile(`\b(\w+)=(\d+)\b`)

// carried stops the router and returns the figures of its last message: records, drops
// and failures.
func (r *router) carried(t *testing.T) map[string]int {
	t.Helper()
	r.stop(t, unix.SIGTERM)
	fields := make(map[string]int)
	for line := range strings.Lines(r.Stderr()) {
		if !strings.Contains(line, "msg=carried") && !strings.Contains(line, "msg=stopped") {
			continue
		}
		for _, m := range carriedField.FindAllStringSubmatch(line, -1) {
			fields[m[1]], _ = strconv.Atoi(m[2])
		}
	}
	return fields
}

// drops returns the sum of the frames that a router has dropped.
func drops(carried map[string]int) (sum int) {
	for name, n := range carried {
		if strings.HasPrefix(name, "drop_") {
			sum += n
		}
	}
	return sum
}

// linkStatistics returns the kernel's counters of an interface.
func linkStatistics(ns *tuntest.Namespace, link string) netlink.LinkStatistics {
	return *ns.Link(link).Attrs().Statistics
}
