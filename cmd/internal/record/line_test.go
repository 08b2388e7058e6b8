package record

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const ours = `{"time":"2026-11-23T07:50:00.000000Z","level":"info","msg":"handshake","seq":17,"dport":443,"lines":["a\"b","\u001b"],"rewrites":[],"client":{"df":true,"win":-1.5e+3,"seq":18},"process":"we\"i\u0001rd"}`

func TestScan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want Form
	}{
		{ours, Plain},
		{ours + "\r", Foreign},
		{" " + ours, Foreign},
		{`{"seq":17,"msg":"handshake","time":"x"}`, Plain},
		{`{"seq": 17, "msg": "handshake", "time": "x"}`, Foreign},
		{`{"time":"x","msg":"handshake","seq":17,"process":"Grüße"}`, Foreign},
		{"{\"time\":\"x\",\"msg\":\"handshake\",\"seq\":17,\"process\":\"\x7f\"}", Foreign},
		{`{"time":"x","ms\u0067":"handshake","seq":17}`, Plain},
		{"{\"time\":\"x\",\"msg\":\"handshake\",\"seq\":17,\"process\":\"\x1b\"}", None},
		{`{"time":"x","msg":"handshake","seq":17`, None},
		{`{"time":"x","msg":"handshake","seq":17}}`, None},
		{`{"time":"x","msg":"handshake","seq":17,"outc{"time":"x","msg":"handshake","seq":18}`, None},
		{`{"time":"x","msg":"handshake","seq":17 18}`, None},
		{`{"time":"x","msg":"handshake","seq":17,}`, None},
		{`{"time":"x","msg":"handshake","segments":[{"seq":17}]}`, None},
		{`{"time":"x","msg":"routing","level":"info"}`, None},
		{`{"time":"x","msg":"handshake","seq":"17"}`, None},
		{`[]`, None},
		{`1`, None},
		{``, None},
		{`root:x:0:0:root:/root:/bin/bash`, None},
	} {
		if got := new(Line).Scan([]byte(tt.line)); got != tt.want {
			t.Errorf("Scan(%q) = %d, want %d", tt.line, got, tt.want)
		}
	}
}

func TestLineMembers(t *testing.T) {
	t.Parallel()
	var l Line
	l.Scan([]byte(ours))
	for _, tt := range []struct {
		m    Member
		want string
	}{{Time, "2026-11-23T07:50:00.000000Z"}, {Seq, "17"}, {DPort, "443"}, {Process, `we\"i\u0001rd`}, {Outcome, ""}} {
		if got := string(l.Get(tt.m)); got != tt.want {
			t.Errorf("member %d = %q, want %q", tt.m, got, tt.want)
		}
	}
	if got := Unquote(l.Get(Process)); got != "we\"i\x01rd" {
		t.Errorf("process = %q", got)
	}
	var lines []string
	Strings(l.Raw(Lines), func(text []byte) bool { lines = append(lines, Unquote(text)); return true })
	if diff := cmp.Diff([]string{`a"b`, "\x1b"}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for _, cut := range []string{`{"time":"x","seq":`, `{"time":"x","seq":1`, `{"time":"x","seq":1,"outcome":"refu`} {
		if found := l.Seek([]byte(cut), Seq); found != strings.Contains(cut, "1") || string(l.Get(Time)) != "x" || l.Get(Outcome) != nil {
			t.Errorf("Seek(%q) = %t, time %q, outcome %q", cut, found, l.Get(Time), l.Get(Outcome))
		}
	}
}

// Of a member that stands there twice the last one counts, as with encoding/json.
func TestLineTwice(t *testing.T) {
	t.Parallel()
	const line = `{"time":"x","msg":"handshake","seq":1,"src":"192.0.2.1","src":"192.0.2.2","seq":2}`
	var want struct {
		Src string
		Seq uint64
	}
	var got Line
	if err := json.Unmarshal([]byte(line), &want); err != nil || got.Scan([]byte(line)) != Plain {
		t.Fatal(err)
	}
	if seq, _ := got.Seq(); seq != want.Seq || string(got.Get(Src)) != want.Src {
		t.Errorf("seq %d, src %s, want %d, %s", seq, got.Get(Src), want.Seq, want.Src)
	}
}

func TestLineNumber(t *testing.T) {
	t.Parallel()
	number := func(text string) (uint64, bool) {
		var l Line
		l.Scan(fmt.Appendf(nil, `{"last":%s}`, text))
		return l.Number(Last)
	}
	for in, want := range map[string]uint64{"0": 0, "17": 17, "9999999999999999999": 9999999999999999999} {
		if got, ok := number(in); !ok || got != want {
			t.Errorf("number %s = %d, %t, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{`"1"`, "-1", "1e3", "99999999999999999999", "null"} {
		if got, ok := number(in); ok {
			t.Errorf("number %s = %d, want none", in, got)
		}
	}
}

// FuzzScan: a line that is taken for a record is JSON, with the members that encoding/json finds.
func FuzzScan(f *testing.F) {
	f.Add([]byte(ours))
	f.Add([]byte(`{"time":"x","msg":"a","seq":1,"n":[0,-0.5,1e9,{"a":null,"b":[true,false]}]}`))
	f.Add([]byte(`{"time":"x","msg":"a","seq":1,"s\u0065q":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var s scanner
		if end := s.members(line, s.spaces(line, 0), 0, nil); (end >= 0 && s.spaces(line, end) == len(line)) && !json.Valid(line) {
			t.Errorf("%q is taken for JSON", line)
		}
		var l Line
		if l.Scan(line) == None {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("%q is taken for a record: %v", line, err)
		}
		for key, m := range map[string]Member{"time": Time, "msg": Msg, "seq": Seq, "outcome": Outcome} {
			if string(l.Raw(m)) != string(want[key]) {
				t.Errorf("%q: %s is %q, want %q", line, key, l.Raw(m), want[key])
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	b.SetBytes(int64(len(ours)))
	var l Line
	for b.Loop() {
		l.Scan([]byte(ours))
	}
}

// Eight bytes at once say the same as one after the other.
func TestAllInside(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 8 {
			b := []byte("abcdefgh")
			b[at] = byte(c)
			if got := allInside(binary.LittleEndian.Uint64(b)); got != inside[c] {
				t.Errorf("%q at %d: %t", byte(c), at, got)
			}
		}
	}
}
