package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/capture"
	"syntap/tap/taptest"
	"syntap/tun/tuntest"
)

// captured is a frame of a capture, at a time since an hour that does not matter.
type captured struct {
	at    time.Duration
	frame []byte
}

// script returns the segments of a handshake's script as raw IP packets.
func script(t *testing.T, text string) (all []captured) {
	t.Helper()
	at := time.Duration(0)
	for _, s := range taptest.Script(t, text) {
		at += s.After
		all = append(all, captured{at, s.TCP.Packet()})
	}
	return all
}

// writeCapture writes a pcapng file of frames of a link type.
func writeCapture(t *testing.T, link capture.LinkType, frames ...captured) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, link, time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := w.WritePacket(taptest.Epoch.Add(f.at), f.frame, len(f.frame)); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// inFile writes a file and returns its name.
func inFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// tryReplay returns output, messages and error of "syntap replay".
func tryReplay(args ...string) (stdout, stderr string, err error) {
	var out, messages bytes.Buffer
	cmd := newReplayCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&messages)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.Execute()
	return out.String(), messages.String(), err
}

// outcomes returns the outcomes in a JSON log.
func outcomes(t *testing.T, log string) (all []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r struct{ Outcome string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Outcome)
	}
	return all
}

// TestReplayTunnels counts the segments in tunnels, or judges and prints them without.
func TestReplayTunnels(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.6")
	vxlan := []byte{8, 0, 0, 0, 0, 0, 72, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	plain := script(t, taptest.Handshake)
	carried := slices.Clone(plain)
	for i := range carried {
		carried[i].frame = tuntest.IP{}.Packet(a, b, 47, append([]byte{0, 0, 8, 0}, plain[i].frame...))
	}
	carried = append(carried, captured{time.Second, tuntest.UDP{
		Src: netip.AddrPortFrom(a, 50000), Dst: netip.AddrPortFrom(b, 4789),
		Payload: append(vxlan, plain[0].frame...),
	}.Packet()})
	name := inFile(t, "tunnel.pcapng", writeCapture(t, capture.LinkTypeRaw, carried...))

	stdout, stderr, err := tryReplay(name)
	want := "syntap: skipped 3 TCP segments in GRE, 1 in VXLAN; --decap looks inside\n"
	if stdout != "" || stderr != want || err != nil {
		t.Errorf("replay prints %q, %q, %v; want nothing, %q", stdout, stderr, err, want)
	}
	bare, _, err := tryReplay("--format", "json", inFile(t, "plain.pcapng", writeCapture(t, capture.LinkTypeRaw, plain...)))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err = tryReplay("--decap", "--format", "json", name)
	if diff := cmp.Diff(bare, stdout); diff != "" || stderr != "" || err != nil {
		t.Errorf("replay --decap says %q, %v; records (-without the tunnel +in it):\n%s", stderr, err, diff)
	}
	// --all prints the segments in GRE, as tcpdump does.
	stdout, stderr, err = tryReplay("--all", "--format", "modern", name)
	if strings.Count(stdout, "GREv0") != 3 || stderr != "syntap: skipped 1 TCP segment in VXLAN; --decap looks inside\n" || err != nil {
		t.Errorf("replay --all prints %q, %q, %v", stdout, stderr, err)
	}
	if _, _, err = tryReplay("--decap", "--mss", "1300", name); err == nil || !strings.Contains(err.Error(), "rules change no packet in a tunnel") {
		t.Errorf("replay --decap --mss: %v", err)
	}
}

// TestReplayNoHandshake says that packets hold none, unless their lines are printed.
func TestReplayNoHandshake(t *testing.T) {
	t.Parallel()
	late := inFile(t, "late.pcapng", writeCapture(t, capture.LinkTypeRaw, script(t, taptest.Handshake)[1:]...))
	stdout, stderr, err := tryReplay(late)
	if stdout != "" || stderr != "syntap: no handshake in 2 packets; --all prints each TCP segment\n" || err != nil {
		t.Errorf("replay prints %q, %q, %v", stdout, stderr, err)
	}
	if stdout, stderr, err = tryReplay("--all", late); strings.Count(stdout, "\n") != 2 || stderr != "" || err != nil {
		t.Errorf("replay --all prints %q, %q, %v", stdout, stderr, err)
	}
	if _, stderr, err = tryReplay(inFile(t, "empty.pcapng", writeCapture(t, capture.LinkTypeRaw))); stderr != "" || err != nil {
		t.Errorf("replay of an empty capture says %q, %v", stderr, err)
	}
}

// TestReplayMaxOpen has more attempts open at once than the limit.
func TestReplayMaxOpen(t *testing.T) {
	t.Parallel()
	var frames []captured
	for round := range 2 {
		for port := range uint16(50) {
			for _, s := range script(t, taptest.Handshake)[min(1, round):] {
				b := bytes.Clone(s.frame)
				i := 20 // the client's port, which comes first in its own segments
				if b[12] != 192 {
					i = 22
				}
				b[i+1] = byte(port)
				frames = append(frames, captured{time.Duration(len(frames)) * time.Millisecond, b})
				if round == 0 {
					break
				}
			}
		}
	}
	name := inFile(t, "many.pcapng", writeCapture(t, capture.LinkTypeRaw, frames...))
	for _, tt := range []struct {
		args        []string
		established int
		err         string
	}{
		{nil, 50, ""},
		{[]string{"--max-open", "0"}, 50, ""},
		{[]string{"--max-open", "50"}, 50, ""},
		{[]string{"--max-open", "20"}, 20, "30 attempts ended early: more were open at once than --max-open allows"},
		{[]string{"--max-open", "-1"}, 0, "--max-open: -1 is negative"},
	} {
		stdout, _, err := tryReplay(append(tt.args, "--format", "json", name)...)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if n := strings.Count(stdout, `"outcome":"established"`); n != tt.established || got != tt.err {
			t.Errorf("replay %v: %d established, %q; want %d, %q", tt.args, n, got, tt.established, tt.err)
		}
	}
}

// TestReplayManyAttempts has many SYNs between the same ports, which no limit on attempts allows.
func TestReplayManyAttempts(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "> S %d\n", 1000+7*i)
	}
	text.WriteString("< SA 5000 1001\n> A 1001 5001\n")
	name := inFile(t, "many.pcapng", writeCapture(t, capture.LinkTypeRaw, script(t, text.String())...))
	stdout, _, err := tryReplay("--max-open", "0", "--format", "json", name)
	all := outcomes(t, stdout)
	if len(all) != 300 || !slices.Contains(all, "established") || err == nil ||
		err.Error() != "43 attempts ended early: more than 256 between the same ports were open at once" {
		t.Errorf("%d records, %v, outcomes %v", len(all), err, all)
	}
}

// TestReplayManyConnections has more connections open than a live tap may. A SYN that comes again
// much later makes no second record.
func TestReplayManyConnections(t *testing.T) {
	t.Parallel()
	const connections = 17000
	steps := script(t, taptest.Handshake)
	var frames []captured
	add := func(step, connection int) {
		b := bytes.Clone(steps[step].frame)
		i := 14 // the client's address
		if step == 1 {
			i = 18
		}
		b[i], b[i+1] = byte(connection>>8), byte(connection)
		frames = append(frames, captured{time.Duration(len(frames)) * 10 * time.Microsecond, b})
	}
	for c := range connections {
		for step := range steps {
			add(step, c)
		}
	}
	add(0, 0)
	stdout, _, err := tryReplay("--format", "json", inFile(t, "many.pcapng", writeCapture(t, capture.LinkTypeRaw, frames...)))
	if n := strings.Count(stdout, `"outcome":"established"`); n != connections || strings.Count(stdout, "\n") != connections || err != nil {
		t.Errorf("%d of %d records established, %v; want %d", n, strings.Count(stdout, "\n"), err, connections)
	}
}

// TestReplaySeveral reads files as one capture, in whatever order they are named: parts that
// tcpdump has rotated, two ends of a path, and compressed ones.
func TestReplaySeveral(t *testing.T) {
	t.Parallel()
	all := append(script(t, taptest.Handshake), script(t, taptest.Handshake+"> FA 1001 5001\n< FA 5001 1002\n> A 1002 5002\n> S 9000 +1s\n< RA 0 9001")[3:]...)
	parts := func(of func(i int) bool) (first, second []captured) {
		for i, f := range all {
			if of(i) {
				first = append(first, f)
			} else {
				second = append(second, f)
			}
		}
		return first, second
	}
	whole := inFile(t, "whole.pcapng", writeCapture(t, capture.LinkTypeRaw, all...))
	want, _, err := tryReplay("--format", "json", whole)
	if err != nil || strings.Count(want, "\n") != 2 {
		t.Fatalf("%v, records:\n%s", err, want)
	}
	for name, of := range map[string]func(i int) bool{
		"rotated": func(i int) bool { return i < 2 },
		"ends":    func(i int) bool { return all[i].frame[12] == 192 },
	} {
		first, second := parts(of)
		a := inFile(t, "a.pcapng", writeCapture(t, capture.LinkTypeRaw, first...))
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(writeCapture(t, capture.LinkTypeRaw, second...)); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		b := inFile(t, "b.pcapng.gz", packed.Bytes())
		for _, names := range [][]string{{a, b}, {b, a}} {
			got, _, err := tryReplay(append([]string{"--format", "json"}, names...)...)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: %v, records (-of one file +of two):\n%s", name, err, diff)
			}
		}
	}

	// A file that is broken does not end the others.
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	broken := inFile(t, "broken.pcapng", content[:len(content)-10])
	got, _, err := tryReplay("--format", "json", broken, whole)
	if n := len(outcomes(t, got)); n != 2 || err == nil || !strings.Contains(err.Error(), "broken.pcapng: read packet 8") {
		t.Errorf("with a broken file: %d records, %v", n, err)
	}
}

// TestReplaySkipped says which interfaces, frames and tunnels were not read.
func TestReplaySkipped(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, 220, time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	protected := append([]byte{0x08, 0x41}, make([]byte, 40)...)
	esp := tuntest.IP{}.Packet(taptest.Client.Addr(), taptest.Server.Addr(), 50, make([]byte, 60))
	for _, f := range []struct {
		link  capture.LinkType
		frame []byte
	}{{220, make([]byte, 64)}, {220, make([]byte, 64)}, {capture.LinkTypeWiFi, protected}, {capture.LinkTypeRaw, esp}, {capture.LinkTypeRaw, esp}} {
		if err := w.WriteFrame(f.link, taptest.Epoch, f.frame, len(f.frame)); err != nil {
			t.Fatal(err)
		}
	}
	_, stderr, err := tryReplay(inFile(t, "several.pcapng", b.Bytes()))
	want := "syntap: skipped 2 packets in ESP, 1 encrypted 802.11 frames\nsyntap: skipped 2 packets of link type 220, which is not supported\n"
	if stderr != want || err != nil {
		t.Errorf("replay says %q, %v; want %q", stderr, err, want)
	}
	_, _, err = tryReplay(inFile(t, "capture.xz", []byte("\xfd7zXZ\x00\x00\x04")))
	if err == nil || !strings.Contains(err.Error(), "compressed with xz (supported: gzip, zstd)") {
		t.Errorf("a file of xz: %v", err)
	}
}

// TestReplayPipes has lines printed while a pipe brings no more packets, whatever its name is: at
// once after a third segment, soon after a RST.
func TestReplayPipes(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Skip("no mkfifo: ", err)
	}
	established := writeCapture(t, capture.LinkTypeRaw, script(t, taptest.Handshake)...)
	refused := writeCapture(t, capture.LinkTypeRaw, script(t, "> S 1000\n< RA 0 1001")...)
	for name, content := range map[string][]byte{"/dev/stdin": established, "-": refused, fifo: refused} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(name); err != nil && name != "-" {
				t.Skip(err)
			}
			cmd := exec.Command("syntap", "replay", "--format", "json", name) // TestMain's
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			var w io.WriteCloser = stdin
			if name == fifo {
				if w, err = os.OpenFile(fifo, os.O_WRONLY, 0); err != nil {
					t.Fatal(err)
				}
			}
			defer w.Close() // after the line has come
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
			line := make(chan string, 1)
			go func() {
				text, _ := bufio.NewReader(stdout).ReadString('\n')
				line <- text
			}()
			select {
			case text := <-line:
				if got := outcomes(t, text); len(got) != 1 {
					t.Errorf("the first line is %q", text)
				}
			case <-time.After(time.Minute):
				t.Error("no line while the pipe is open")
			}
		})
	}
}
