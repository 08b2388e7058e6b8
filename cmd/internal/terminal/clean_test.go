package terminal

import "testing"

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want, lines string }{
		{"", "", ""},
		{"curl", "curl", "curl"},
		{"Grüße, 世界 →", "Grüße, 世界 →", "Grüße, 世界 →"},
		{`C:\temp`, `C:\temp`, `C:\temp`},
		{"\x1b]0;PWN\x07", `\x1b]0;PWN\x07`, `\x1b]0;PWN\x07`},
		{"a\nb\tc\rd", `a\nb\tc\rd`, "a\nb\tc\\rd"},
		{"\u009b31m", `\u009b31m`, `\u009b31m`},
		{"\x9b31m", `\x9b31m`, `\x9b31m`},
		{"\u202egpj\u2066", `\u202egpj\u2066`, `\u202egpj\u2066`},
		{"a\u2028b\u00a0c", `a\u2028b\u00a0c`, `a\u2028b\u00a0c`},
		{"\ufffd\ufeff\U000e0001", `\ufffd\ufeff\U000e0001`, `\ufffd\ufeff\U000e0001`},
		{"\x7f\x00", `\x7f\x00`, `\x7f\x00`},
	} {
		if got := Clean(tt.text); got != tt.want {
			t.Errorf("Clean(%q) = %q, want %q", tt.text, got, tt.want)
		}
		if got := CleanLines(tt.text); got != tt.lines {
			t.Errorf("CleanLines(%q) = %q, want %q", tt.text, got, tt.lines)
		}
	}
}

func TestCleanJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ json, want string }{
		{"{\"a\":\t\"b\"}\r\n", `{"a": "b"} ` + "\n"},
		{"\"Gr\u00fc\u00dfe \u202e\u009b\x7f\U000e0001\"", "\"Gr\u00fc\u00dfe " + `\u202e\u009b\u007f\udb40\udc01"`},
		{"\"\x9b\ufffd\"", `"\ufffd\ufffd"`},
		{`"\u001b"`, `"\u001b"`},
	} {
		if got := string(CleanJSON([]byte(tt.json))); got != tt.want {
			t.Errorf("CleanJSON(%q) = %q, want %q", tt.json, got, tt.want)
		}
	}
}
