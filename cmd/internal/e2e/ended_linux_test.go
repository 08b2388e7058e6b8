package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// ended holds the records of a connection's opening and of its end.
type ended struct {
	Msg         string `json:"msg"`
	Src         string `json:"src"`
	Sport       int    `json:"sport"`
	ClientISN   uint32 `json:"client_isn"`
	ServerISN   uint32 `json:"server_isn"`
	CommunityID string `json:"community_id"`
	Duration    int64  `json:"duration_us"`
	Outbound    int    `json:"outbound_bytes"`
	Inbound     int    `json:"inbound_bytes"`
	Retransmits *int   `json:"retransmits"`
	ClosedBy    string `json:"closed_by"`
	Close       string `json:"close"`

	Records struct{ Handshake, Flow int }    `json:"records"` // of the end of the run
	Frames  struct{ Read, Accounted uint64 } `json:"frames"`
}

// TestFlowRecords ends connections in every way and looks for the record of each, which names its
// handshake.
func TestFlowRecords(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	const question, answer = 3000, 100_000
	serve := func(port string, end func(conn *net.TCPConn)) {
		go serveAll(lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, port)), func(conn *net.TCPConn) {
			_, _ = io.ReadFull(conn, make([]byte, question))
			_, _ = conn.Write(make([]byte, answer))
			end(conn)
		})
	}
	readAll := func(conn *net.TCPConn) { _, _ = io.ReadAll(conn) }
	reset := func(conn *net.TCPConn) { _ = conn.SetLinger(0) }
	serve("7001", readAll)
	serve("7002", func(*net.TCPConn) {}) // closes
	serve("7003", func(conn *net.TCPConn) {
		_, _ = conn.Read(make([]byte, 1)) // the client has all: a reset would overtake it
		reset(conn)
	})
	r := run(t, lab.Router, "syntap0", everything)
	tests := []struct {
		name, port string
		end        func(conn *net.TCPConn)
		extra      int // bytes that end sends
		by, how    string
	}{
		{"client FIN", "7001", func(*net.TCPConn) {}, 0, "client", "fin"},
		{"client RST", "7001", reset, 0, "client", "rst"},
		{"server FIN", "7002", readAll, 0, "server", "fin"},
		{"server RST", "7003", func(conn *net.TCPConn) { _, _ = conn.Write([]byte("x")); readAll(conn) }, 1, "server", "rst"},
	}
	want := make(map[int]ended)
	for _, tt := range tests {
		conn := dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, tt.port)).(*net.TCPConn)
		if _, err := conn.Write(make([]byte, question)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, answer)); err != nil {
			t.Fatal(err)
		}
		tt.end(conn)
		conn.Close()
		want[conn.LocalAddr().(*net.TCPAddr).Port] = ended{Outbound: question + tt.extra, Inbound: answer, ClosedBy: tt.by, Close: tt.how}
	}
	open := dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7001"))
	want[open.LocalAddr().(*net.TCPAddr).Port] = ended{ClosedBy: "router", Close: "rst"}
	r.wait(t, "records", func() bool { return strings.Count(r.read(t, "handshakes.json"), `"msg":"flow"`) >= len(tests) })
	r.waitRecords(t, len(want))
	r.stop(t, unix.SIGTERM)

	var last ended
	opened := make(map[int]ended)
	got := make(map[int]ended)
	lines := json.NewDecoder(bytes.NewReader([]byte(r.read(t, "handshakes.json"))))
	for {
		var e ended
		if err := lines.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch e.Msg {
		case "handshake":
			opened[e.Sport] = e
			continue
		case "end":
			last = e
			continue
		}
		if o := opened[e.Sport]; o.ClientISN != e.ClientISN || o.ServerISN != e.ServerISN || o.CommunityID != e.CommunityID || o.Src != e.Src || e.Duration <= 0 {
			t.Errorf("record %+v does not belong to %+v", e, o)
		}
		if e.Retransmits == nil { // a router that has to wait for a processor sends again
			t.Errorf("record %+v has no retransmits", e)
		}
		got[e.Sport] = ended{Outbound: e.Outbound, Inbound: e.Inbound, ClosedBy: e.ClosedBy, Close: e.Close}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ended connections by port (-want +got):\n%s", diff)
	}
	if last.Records.Handshake != len(want) || last.Records.Flow != len(want) || last.Frames.Read == 0 || last.Frames.Read != last.Frames.Accounted {
		t.Errorf("the run ends with %+v, want %d connections and an account of all frames", last, len(want))
	}
}
