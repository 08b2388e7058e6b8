package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// terminal is a program in a terminal of a namespace.
type terminal struct {
	t  *testing.T
	ns *tuntest.Namespace
	at string // socket of its tmux
}

func newTerminal(t *testing.T, ns *tuntest.Namespace, size string, command ...string) *terminal {
	t.Helper()
	requireTools(t, "tmux")
	term := &terminal{t, ns, filepath.Join(t.TempDir(), "tmux")}
	width, height, _ := strings.Cut(size, "x")
	t.Cleanup(func() {
		ctx, cancel := timeout()
		defer cancel()
		if t.Failed() {
			screen, err := ns.Command(ctx, "tmux", "-S", term.at, "capture-pane", "-p").Output()
			t.Logf("the screen at the end (%v):\n%s", err, screen)
		}
		_ = ns.Command(ctx, "tmux", "-S", term.at, "kill-server").Run() // which has ended with its program, if all is well
	})
	term.tmux(append([]string{"-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, "env", "LC_ALL=C.UTF-8"}, command...)...)
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	return term.ns.Run("tmux", append([]string{"-u", "-S", term.at}, args...)...)
}

// keys types keys, in the words of tmux.
func (term *terminal) keys(names ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys"}, names...)...)
}

// wait waits until the screen shows all of some texts and returns it.
func (term *terminal) wait(texts ...string) (screen string) {
	term.t.Helper()
	tuntest.Wait(term.t, "the screen to show "+strings.Join(texts, ", "), func() bool {
		screen = term.tmux("capture-pane", "-p")
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
	return screen
}

// TestTop looks at handshakes in a terminal.
func TestTop(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nc", "tmux")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", viewed)
	top := newTerminal(t, lab.Router, "160x40", binary, "top", "-c", filepath.Join(r.dir, "syntap.yaml"))
	top.wait("syntap0", "live", "no handshake yet")
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	command(t, lab.Router, "nc", "-z", tuntest.ServerAddr4, "81")
	top.wait("established 2   refused 1", tuntest.ServerAddr4+":80", "["+tuntest.ServerAddr6+"]:80", "ECONNREFUSED", "mss 1460→1360")

	top.keys("/", "e", "s", "t", "a", "Space", "2", "0", "3", ".", "0", "Enter", "Enter")
	first := r.waitRecords(t, 3)[0]
	top.wait("Handshake at ", "established in ", "IP "+first.Src,
		"SYN  seq x = ", "MSS 1460 → 1360, rule 1  DF", "SYN-ACK  seq y = ", "ack x+1 = ", "ACK  seq x+1 = ", "ack y+1 = ", "──▶", "◀──", "lasted ", "FIN", " B →")
	top.keys("q", "/", "Escape")
	top.wait("3 shown")
	top.keys("p") // with Escape it would be another key
	top.wait("3 shown, paused, 0 new")
	lab.Router.Run("curl", "-sS", urls()[0])
	top.wait("3 shown, paused, 1 new")
	top.keys("Home")
	top.wait("4 shown")

	top.keys("Tab") // by name, of which there is none
	top.wait("NAME", "unknown", "1 shown")
	top.keys("Tab", "Tab", "Enter") // past process, the destination most connected to
	top.wait("2 match dst:" + tuntest.ServerAddr4 + " proto:tcp port:80")
	top.keys("/", "Space", "p", "r", "o", "t", ":", "x", "Enter")
	top.wait(`"prot" is no key; did you mean "proto"?`)
	top.keys("/", "Escape")
	top.wait("4 shown")

	top.tmux("resize-window", "-x", "80", "-y", "24")
	tuntest.Wait(t, "80 columns to show process and bytes", func() bool { // tmux cuts the screen before the program draws it anew
		screen := top.tmux("capture-pane", "-p")
		return strings.Count(screen, ":80 ") == 3 && strings.Count(screen, "curl root") == 3 && strings.Count(screen, " 137 B ") >= 1
	})
	r.stop(t, unix.SIGTERM)
	top.wait("connection lost, trying again")
	top.keys("q")
	tuntest.Wait(t, "the terminal to end", func() bool { return command(t, lab.Router, "tmux", "-S", top.at, "list-sessions").status != 0 })
}
