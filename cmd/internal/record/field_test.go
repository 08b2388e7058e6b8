package record

import "testing"

func TestField(t *testing.T) {
	t.Parallel()
	const line = `{"time":"2026-11-23T07:50:00.000000Z","msg":"handshake","seq":17,"dport":443,"lines":["a"],"process":"we\"i\u0001rd"}`
	for _, tt := range []struct{ line, member, want string }{
		{line, Time, "2026-11-23T07:50:00.000000Z"},
		{line, Seq, "17"},
		{line, Process, `we\"i\u0001rd`},
		{line, Outcome, ""},
		{`{"time":"x","process":"cut`, Process, ""},
		{`{"time":"x","process":"c\"ut`, Process, ""},
		{`{"time":"x","seq":`, Seq, ""},
		{`{"time":"x","seq":1}`, Seq, "1"},
		{"", Time, ""},
	} {
		if got := string(Field([]byte(tt.line), tt.member)); got != tt.want {
			t.Errorf("Field(%q, %s) = %q, want %q", tt.line, tt.member, got, tt.want)
		}
	}
	if got := String(Field([]byte(line), Process)); got != "we\"i\x01rd" {
		t.Errorf("String = %q", got)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	const line = `{"time":"x","src":"192.0.2.1","sport":1000,"dst":"","dport":80}`
	for _, tt := range []struct{ member, value, rest string }{
		{Src, "192.0.2.1", `","sport":1000,"dst":"","dport":80}`},
		{SPort, "1000", `,"dst":"","dport":80}`},
		{Dst, "", `","dport":80}`},
		{DPort, "80", "}"},
		{Outcome, "", line},
	} {
		if value, rest := Next([]byte(line), tt.member); string(value) != tt.value || string(rest) != tt.rest {
			t.Errorf("Next(%s) = %q, %q, want %q, %q", tt.member, value, rest, tt.value, tt.rest)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint64{"0": 0, "17": 17, "9999999999999999999": 9999999999999999999} {
		if got, ok := Number([]byte(in)); !ok || got != want {
			t.Errorf("Number(%q) = %d, %t, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-1", "1e3", "99999999999999999999", "x"} {
		if got, ok := Number([]byte(in)); ok {
			t.Errorf("Number(%q) = %d, want none", in, got)
		}
	}
}
