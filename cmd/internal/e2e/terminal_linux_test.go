package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"syntap/tun/tuntest"
)

// hostile is a name that sets a terminal's title, changes its colour in two ways, turns the
// direction of text and is no UTF-8.
const hostile = "n\x1b]0;PWN\x07\x1b[31m\u009b31m\x9b31m\u202egpj\x7f\r"

// hostileLog has records of an attacker's making: two that are JSON, and a line that is not.
const hostileLog = `{"time":"2026-01-01T00:00:00.000000Z","level":"info","msg":"handshake","seq":1,"outcome":"\u001b[31mred","family":4,"src":"10.0.0.1","sport":1,"dst":"10.0.0.2` + "\u202e" + `","dport":2,"client":{"win":1},"lines":["IP \u001b]0;EVIL\u0007 \u009b31m x\ninjected","` + "\u009b\x9b\x7f" + `"],"rewrites":[],"process":"\u001b[31mred` + "\u202e" + `"}
{"time": "2026-01-01T00:00:01.000000Z", "msg": "handshake", "seq": 2, "outcome": "refused", "process": "` + hostile2 + `"}
{"time":"2026-01-01T00:00:02.000000Z","msg":"handshake","seq":3,"outcome":"` + "\x1b]0;EVIL\x07" + `"}
{"time":"2026-01-01T00:00:03Z","msg":"gap","seq":4,"from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:00:03Z","lost":1,"reason":"\u001b[31m` + "\u009b" + `31m"}
{"time":"2026-01-01T00:00:04Z","msg":"finding","seq":5,"kind":"\u001b[31m","dst":"\u001b[31m","name":"\u001b[31m","direction":"\u001b[31m","confidence":"\u001b[31m","process":"\u001b[31m"}
`

const hostile2 = "n\u009b31m\x9b31m\u202egpj\x7f"

// TestHostileNames gives every command names and files that speak to terminals. None gets through.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	dir := t.TempDir()
	missing, log := filepath.Join(dir, "missing"+hostile), filepath.Join(dir, "log"+hostile)
	emptyLog := filepath.Join(dir, "empty")
	must(t, os.WriteFile(log, []byte(hostileLog), 0o600))
	must(t, os.WriteFile(emptyLog, nil, 0o600))
	for _, args := range [][]string{
		{hostile},
		{"--" + hostile},
		{"help", hostile},
		{"version", hostile},
		{"cleanup", hostile},
		{"demo", hostile},
		{"man", filepath.Join(missing, "x")},
		{"completion", hostile},
		{"check", "-c", missing},
		{"check", "-c", log},
		{"plan", "-c", missing},
		{"plan", "-c", log},
		{"run", "-c", missing},
		{"run", "-c", log},
		{"run", "--format", hostile},
		{"exec", "-c", missing, "--", "true"},
		{"exec", "--", missing},
		{"exec", "-o", filepath.Join(missing, "x"), "--", "true"},
		{"replay", missing},
		{"replay", log},
		{"replay", "-w", filepath.Join(missing, "x"), "../../syntap/testdata/replay/a01-tutorial.pcap"},
		{"log", missing},
		{"log", log},
		{"log", "--json", log},
		{"log", "--format", "classic", log},
		{"log", "--format", "modern", log},
		{"log", "--format", "csv", log},
		{"log", "--format", "zeek", log},
		{"log", "--format", "ocsf", log},
		{"log", "--format", "ecs", log},
		{"log", "--new-since", "2020-01-01", log},
		{"log", "--top", "process", log},
		{"log", "--top", "outcome", log},
		{"log", "--top", "dst", "--json", log},
		{"log", "--top", hostile, log},
		{"log", "--outcome", hostile, log},
		{"log", "--process", hostile, log},
		{"log", "--since", hostile, log},
		{"log", "--src", hostile, log},
		{"log", "--filter", hostile, log},
		{"log", "--filter", hostile + ":1", log},
		{"log", "--top", "process,name,host", "--format", "csv", log},
		{"diff", missing, log},
		{"diff", emptyLog, log},
		{"log", "-c", missing},
		{"verify", missing},
		{"verify", log},
		{"verify", "--key", missing, log},
		{"verify", "--key", log, log},
		{"status", "--at", hostile},
		{"status", "-c", missing},
		{"status", "-c", log},
		{"top", "--at", hostile},
		{"top", "-c", missing},
	} {
		got := command(t, ns, binary, args...)
		for name, text := range map[string]string{"standard output": got.stdout, "standard error": got.stderr} {
			if at := strings.IndexFunc(text, speaks); at >= 0 {
				t.Errorf("%q writes to %s: %q", args, name, text[max(0, at-20):min(len(text), at+40)])
			}
		}
		if got.status == 0 && got.stdout == "" && args[0] != "log" {
			t.Errorf("%q says nothing, with status 0", args)
		}
	}
}

// speaks reports whether a terminal takes a character for more than a sign.
func speaks(r rune) bool { return r == utf8.RuneError || r != '\n' && r != '\t' && !unicode.IsPrint(r) }
