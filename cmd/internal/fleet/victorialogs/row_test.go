package victorialogs

import (
	"encoding/json"
	"testing"
)

// TestUnquote: the text is the one that encoding/json has escaped.
func TestUnquote(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "plain", `{"time":"now","process":"we\"ird\\"}`, `\`, `\\`, `\u0041`, "a\nb\tc\r\b\f", "\x00\x1b", "ü → 世界", `</script>`, `\n`,
	} {
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(unquote(b[1 : len(b)-1])); got != text {
			t.Errorf("unquote(%s) = %q, want %q", b, got, text)
		}
	}
	if got := string(unquote([]byte(`cut short\`))); got != `cut short\` {
		t.Errorf("unquote of a string that is cut short = %q", got)
	}
}

func BenchmarkUnquote(b *testing.B) {
	line, err := json.Marshal(`{"time":"2026-11-23T07:50:00.000000Z","level":"info","msg":"handshake","seq":1,"run_id":"0123456789abcdef"}`)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		unquote(line[1 : len(line)-1])
	}
}
