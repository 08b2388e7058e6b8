package audit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// chainedLog writes a chained log of several files, the last but one compressed, and returns their
// names.
func chainedLog(t *testing.T, keyFile string, records int) (names []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "evidence.json")
	c := config.Sink{Format: config.JSON, Path: path, Chain: true, ChainKey: keyFile, MaxSize: 8 << 10}
	for _, n := range []int{records / 2, records - records/2} { // two runs
		s := open(t, c, Options{})
		for range n {
			must(t, s.Record(established(1, start)))
		}
		must(t, s.Close())
	}
	names, _ = contents(t, path)
	must(t, logfile.Compress(t.Context(), names[len(names)-2]))
	names[len(names)-2] += ".gz"
	return names
}

func writeKey(t *testing.T, mode os.FileMode, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(file, []byte(text), mode))
	must(t, os.Chmod(file, mode))
	return file
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const records = 40
	key, other := writeKey(t, 0o600, "0123456789abcdef\n"), writeKey(t, 0o600, "fedcba9876543210")
	for _, keyFile := range []string{"", key} {
		names := chainedLog(t, keyFile, records)
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		v, err := chain.Verify(t.Context(), names, chain.Verifying{Key: keyFile})
		must(t, err)
		want := chain.Verified{
			Files: len(names), Records: records, First: 1, Last: records, Hash: v.Hash, Heads: 1, Vouched: records,
			Keyed: keyFile != "", Begins: true,
			Runs: []chain.Run{{First: 1, Last: records, Begins: true, Records: record.Counts{Handshake: records}}},
		}
		if diff := cmp.Diff(want, v); diff != "" || len(v.Hash) != record.HexLength || len(names) < 3 {
			t.Errorf("key %q: (-want +got):\n%s", keyFile, diff)
		}
		if v, err := chain.Verify(t.Context(), names, chain.Verifying{Key: other}); err != nil || len(v.Breaks) != records+1 { // and the head
			t.Errorf("key %q: %d breaks with another key, want %d", keyFile, len(v.Breaks), records+1)
		}
	}
}

// forge tries every kind of tampering at random records, and checks that verify names the place.
func TestVerifyFindsTampering(t *testing.T) {
	t.Parallel()
	const records, trials = 60, 300
	names := chainedLog(t, "", records)
	_, texts := contents(t, names[len(names)-1])
	whole := strings.SplitAfter(strings.Join(texts, ""), "\n")
	whole = whole[:len(whole)-1]
	file := filepath.Join(t.TempDir(), "forged.json")
	digits := regexp.MustCompile(`"synack_us":\d+`)
	for trial := range trials {
		lines := slices.Clone(whole)
		i := 1 + rand.IntN(records-2) // neither the first nor the last
		seq := i + 1
		var kind string
		var named []int // one of them
		switch trial % 6 {
		case 0:
			kind, named = "deleted", []int{seq}
			lines = slices.Delete(lines, i, i+1)
		case 1:
			kind, named = "altered", []int{seq}
			lines[i] = digits.ReplaceAllString(lines[i], `"synack_us":1`)
		case 2:
			kind, named = "swapped", []int{seq, seq + 1}
			lines[i], lines[i+1] = lines[i+1], lines[i]
		case 3:
			kind, named = "truncated", []int{seq - 1}
			lines = lines[:i+1]
			lines[i] = lines[i][:1+rand.IntN(len(lines[i])-1)]
		case 4: // with a new hash, as one without a key can do
			kind, named = "replaced", []int{seq}
			l, _ := record.LinkOf([]byte(strings.TrimSuffix(lines[i], "\n")))
			text := digits.ReplaceAll(bytes.Clone(l.Text), []byte(`"synack_us":1`))
			c := record.NewChain(nil)
			lines[i] = fmt.Sprintf("%s%s%x\"}\n", text, `,"hash":"`, c.Sum(text))
		case 5:
			kind, named = "repeated", []int{seq}
			lines = slices.Insert(lines, i, lines[i])
		}
		must(t, os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600))
		v, err := chain.Verify(t.Context(), []string{file}, chain.Verifying{})
		must(t, err)
		if len(v.Breaks) == 0 {
			t.Errorf("%s record %d: not found", kind, seq)
			continue
		}
		if !slices.ContainsFunc(named, func(n int) bool {
			return regexp.MustCompile(fmt.Sprintf(`seq (the seq )?%d\b`, n)).MatchString(strings.Join(v.Breaks, "\n"))
		}) {
			t.Errorf("%s record %d: found %q", kind, seq, v.Breaks)
		}
	}
}

// A whole file that is missing is a break; so is a compressed one cut short.
func TestVerifyFiles(t *testing.T) {
	t.Parallel()
	names := chainedLog(t, "", 40)
	v, err := chain.Verify(t.Context(), slices.Delete(slices.Clone(names), 1, 2), chain.Verifying{})
	must(t, err)
	if len(v.Breaks) != 1 || !strings.Contains(v.Breaks[0], "are missing") {
		t.Errorf("breaks %q, want missing records", v.Breaks)
	}
	gz := names[len(names)-2]
	b, err := os.ReadFile(gz)
	must(t, err)
	must(t, os.WriteFile(gz, b[:len(b)/2], 0o600))
	if v, err = chain.Verify(t.Context(), names, chain.Verifying{}); err != nil || len(v.Breaks) == 0 {
		t.Errorf("breaks %q, %v, want some", v.Breaks, err)
	}
	if _, err := chain.Verify(t.Context(), []string{"/nonexistent"}, chain.Verifying{}); err == nil {
		t.Error("no error for a file that is not there")
	}
}

// A chain begins in a file of its own: earlier records belong to none.
func TestChainBegins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.json")
	for _, chained := range []bool{false, true, true, false} {
		s := open(t, config.Sink{Format: config.JSON, Path: path, Chain: chained}, Options{})
		must(t, s.Record(established(1, start)))
		must(t, s.Close())
	}
	names, texts := contents(t, path)
	var got []string
	for _, text := range texts {
		_, chained := record.LinkOf([]byte(text[strings.LastIndexByte(text[:len(text)-1], '\n')+1 : len(text)-1]))
		got = append(got, fmt.Sprint(numbers(t, text), chained))
	}
	if diff := cmp.Diff([]string{"[1] false", "[2 3] true", "[4] false"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if v, err := chain.Verify(t.Context(), names[1:2], chain.Verifying{}); err != nil || len(v.Breaks) > 0 {
		t.Errorf("breaks %q, %v", v.Breaks, err)
	}
}

// A record that a full disk kept out of the log is out of the chain too.
func TestChainAfterLoss(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	disk := &full{room: 1 << 20}
	s := open(t, config.Sink{Format: config.JSON, Path: path, Chain: true}, Options{writer: disk.on})
	for _, room := range []int{1 << 20, 100, 1 << 20} {
		disk.free(room)
		_ = s.Record(established(1, start))
		_ = s.Flush()
	}
	must(t, s.Close())
	if v, err := chain.Verify(t.Context(), []string{path}, chain.Verifying{}); err != nil || len(v.Breaks) > 0 || v.Last != 3 { // two records and a gap
		t.Errorf("%+v, %v", v, err)
	}
}

func TestKeyRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, want string }{
		{writeKey(t, 0o600, "short"), "it has 5 bytes, not 16 to 4096"},
		{writeKey(t, 0o600, strings.Repeat("x", 5000)), "it has 4097 bytes, not 16 to 4096"},
		{writeKey(t, 0o644, strings.Repeat("x", 32)), "it is open to every user"},
		{"/nonexistent", "no such file or directory"},
	} {
		_, err := Open(config.Sink{Format: config.JSON, Path: "-", Chain: true, ChainKey: tt.file}, Options{})
		if want := "read key " + tt.file + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
	}
}
