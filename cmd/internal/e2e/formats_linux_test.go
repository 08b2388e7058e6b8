package e2e_test

import (
	"encoding/json"
	"net"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/format/formattest"
	"syntap/tun/tuntest"
)

// formats has a log in each form beside the JSON log.
const formats = `
tun: {name: syntap0}
tap:
  log:
    - {format: json, path: DIR/handshakes.json}
    - {format: ocsf, path: DIR/ocsf.log}
    - {format: ecs, path: DIR/ecs.log}
    - {format: zeek, path: DIR/conn.log}
`

// TestFormats has logs in the forms of other programs: each is valid by their schemas, OCSF and ECS
// have an event for each record of the JSON log, and Zeek's has a line for each connection.
func TestFormats(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", formats)
	for i, host := range addresses() {
		lab.Router.Run("curl", "-sS", urls()[i])
		if refused := command(t, lab.Router, "curl", "-sS", "http://"+net.JoinHostPort(host, "81")); refused.status != 7 {
			t.Errorf("curl to a closed port of %s: %+v, want exit status 7", host, refused)
		}
		lab.Router.Run("ping", "-n", "-c", "1", host)
	}
	ended := regexp.MustCompile(`"msg":"flow".*"proto":"tcp"`)
	r.wait(t, "the ends of both connections", func() bool {
		return len(ended.FindAllString(r.read(t, "handshakes.json"), -1)) == 2
	})
	r.stop(t, unix.SIGTERM)

	byType, connections := make(map[string]int), 0
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var record struct{ Msg, Outcome, Verdict string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		byType[record.Msg]++
		switch record.Msg {
		case "handshake":
			connections++
		case "datagram": // denied ones have no flow
			if record.Verdict == "deny" {
				connections++
			}
		case "flow":
			if strings.Contains(line, `"datagram_seq"`) {
				connections++
			}
		}
	}
	ocsf, ecs := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(r.read(t, "ocsf.log")) {
		if err := formattest.OCSF([]byte(line)); err != nil {
			t.Error(err)
		}
		var event struct {
			Metadata struct {
				Name string `json:"log_name"`
			}
		}
		_ = json.Unmarshal([]byte(line), &event) // it is valid
		ocsf[event.Metadata.Name]++
	}
	for line := range strings.Lines(r.read(t, "ecs.log")) {
		if err := formattest.ECS([]byte(line)); err != nil {
			t.Error(err)
		}
		var document struct{ Event struct{ Action string } }
		_ = json.Unmarshal([]byte(line), &document)
		ecs[document.Event.Action]++
	}
	states := make(map[string]int)
	for line := range strings.Lines(r.read(t, "conn.log")) {
		if err := formattest.Zeek([]byte(line)); err != nil {
			t.Error(err)
		}
		var conn struct {
			State string `json:"conn_state"`
		}
		_ = json.Unmarshal([]byte(line), &conn)
		states[conn.State]++
	}
	for msg, n := range byType {
		if ocsf[msg] != n || ecs[msg] != n {
			t.Errorf("%d records of %s, %d in OCSF, %d in ECS", n, msg, ocsf[msg], ecs[msg])
		}
	}
	if n := total(states); n != connections || states["REJ"] != 2 || states["SF"] < 2 {
		t.Errorf("%d connections, in Zeek's log by state %v", connections, states)
	}
}
