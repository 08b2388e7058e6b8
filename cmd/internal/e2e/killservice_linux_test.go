package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestServiceIsKilled kills the processes of the installed service again and again at random
// moments, each alone and all at once, while clients send as fast as they go. tcpdump sees no flow
// on the uplink that is not on record, the numbers go on, and a stop leaves the host as it was.
func TestServiceIsKilled(t *testing.T) {
	requireTools(t, "sysctl", "tcpdump")
	of := []int{4}
	if soak() {
		of = []int{1, 4}
	}
	for _, queues := range of {
		t.Run(fmt.Sprintf("queues=%d", queues), func(t *testing.T) { killService(t, queues) })
	}
}

func killService(t *testing.T, queues int) {
	lab := tuntest.NewLab(t)
	sender := newFlowSender(lab)
	lab.Router.Sysctl("net.ipv4.ping_group_range", "0 2147483647") // as systemd does
	state := func() string {
		return lab.Router.State() + output(lab.Router, "sysctl", "-a", "-r", `^net\.ipv[46]\.`)
	}
	before := state()
	m := bootService(t, lab.Router, func(tree string) {
		name := filepath.Join(tree, "etc/syntap/config.yaml")
		config, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		with := strings.Replace(string(config), "  name: syntap0\n", fmt.Sprintf("  name: syntap0\n  queues: %d\n", queues), 1)
		if err := os.WriteFile(name, []byte(with), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	r := &router{dir: t.TempDir()}
	uplink := startCapture(t, lab.Router, "wan0", filepath.Join(r.dir, "uplink.pcap"),
		"outbound and (udp or icmp or icmp6 or tcp or ip6 proto 6)")
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				sender.send(ctx)
			}
		})
	}
	served := m.served(t)
	worst := make(map[string]time.Duration)
	rounds := scaled(4, 52)
	for i := range rounds {
		until := sender.answered.Load() + 50 + rand.Int64N(100)
		tuntest.Wait(t, "answers", func() bool { return sender.answered.Load() >= until })
		victims := [][]int{served[1:2], served[:1], served[2:], served}[i%4]
		began := time.Now()
		for _, pid := range victims {
			_ = unix.Kill(pid, unix.SIGKILL) // a keeper takes the others along
		}
		next := served
		tuntest.Wait(t, "the next processes", func() bool {
			next = m.served(t)
			return next != nil && !slices.ContainsFunc(next, func(pid int) bool { return slices.Contains(victims, pid) })
		})
		served = next
		kind := []string{"router", "keeper", "web", "all"}[i%4]
		worst[kind] = max(worst[kind], time.Since(began))
	}
	until := sender.answered.Load() + 50
	tuntest.Wait(t, "answers after the last kill", func() bool { return sender.answered.Load() >= until })
	cancel()
	clients.Wait()
	sent := uplink.stop(t) // a service that has stopped does not keep anything from leaving
	if got := m.command(t, "systemctl", "stop", "syntap"); got.status != 0 {
		t.Errorf("stop: %+v", got)
	}

	log := m.command(t, "sh", "-c", "cat /var/log/syntap/handshakes.json").stdout
	if err := os.WriteFile(filepath.Join(r.dir, "handshakes.json"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	r.records(t) // checks lines and numbers
	r.checkRecords(t)
	if got := m.command(t, "sh", "-c", "syntap verify /var/log/syntap/*"); got.status != 0 || !strings.Contains(got.stdout, "the last run has ended in order") {
		t.Errorf("verify: %+v", got)
	}
	flows := checkOnRecord(t, sent, log)
	reportf(t, "%d kills, %d packets of payload on the uplink, flows: %v; at worst until the next: %v", rounds, len(sent), flows, worst)
	for _, kind := range flowKinds {
		if flows[kind] < rounds {
			t.Errorf("%d flows of kind %s on the uplink, want at least %d", flows[kind], kind, rounds)
		}
	}
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	if got := m.command(t, "sh", "-c", "pgrep -l syntap; ls -A /run/syntap"); got.stdout != "" {
		t.Errorf("left in the machine: %s", got.stdout)
	}
}

// served returns keeper, router and page of the service, as the test sees them; nil while one is
// missing.
func (m *machine) served(t *testing.T) []int {
	t.Helper()
	inside, _ := strconv.Atoi(strings.TrimSpace(m.command(t, "systemctl", "show", "--property=MainPID", "--value", "syntap").stdout))
	keeper := m.seen(t, inside)
	if keeper == 0 {
		return nil
	}
	router, web := routerOf(keeper), childOf(keeper, "syntap-web")
	if router == 0 || web == 0 {
		return nil
	}
	return []int{keeper, router, web}
}
