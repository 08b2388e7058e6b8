package record

import (
	"encoding/binary"
	"encoding/json"
	"testing"
)

const ours = `{"time":"2026-11-23T07:50:00.000000Z","level":"info","msg":"handshake","seq":17,"lines":["a\"b","\u001b"],"rewrites":[],"client":{"df":true,"win":-1.5e+3}}`

func TestFormOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want Form
	}{
		{ours, Plain},
		{ours + "\r", Foreign},
		{" " + ours, Foreign},
		{`{"seq": 17, "msg": "handshake", "time": "x"}`, Foreign},
		{`{"time":"x","msg":"handshake","seq":17,"process":"Grüße"}`, Foreign},
		{"{\"time\":\"x\",\"msg\":\"handshake\",\"seq\":17,\"process\":\"\x7f\"}", Foreign},
		{`{"time":"x","ms\u0067":"handshake","seq":17}`, Foreign}, // Field would not find it
		{"{\"time\":\"x\",\"msg\":\"handshake\",\"seq\":17,\"process\":\"\x1b\"}", None},
		{`{"time":"x","msg":"handshake","seq":17`, None},
		{`{"time":"x","msg":"handshake","seq":17}}`, None},
		{`{"time":"x","msg":"handshake","seq":17,"outc{"time":"x","msg":"handshake","seq":18}`, None},
		{`{"time":"x","msg":"handshake","seq":17 18}`, None},
		{`{"time":"x","msg":"handshake","seq":17,}`, None},
		{`{"time":"x","msg":"routing","level":"info"}`, None},
		{`{"time":"x","msg":"handshake","seq":"17"}`, None},
		{`[]`, None}, {`1`, None}, {``, None}, {`root:x:0:0:root:/root:/bin/bash`, None},
	} {
		if got := FormOf([]byte(tt.line)); got != tt.want {
			t.Errorf("FormOf(%q) = %d, want %d", tt.line, got, tt.want)
		}
	}
}

func TestNormal(t *testing.T) {
	t.Parallel()
	got, ok := Normal([]byte(`{ "lines" : [ "a", "b" ], "seq": 17, "dport": 80, "msg": "handshake", "src": "x", "time": "y", "zeta": {"a": 1} }`))
	if want := `{"time":"y","msg":"handshake","seq":17,"src":"x","dport":80,"lines":["a","b"],"zeta":{"a":1}}`; string(got) != want || !ok {
		t.Errorf("Normal = %s, %t, want %s", got, ok, want)
	}
}

// FuzzFormOf: what is taken for JSON is JSON.
func FuzzFormOf(f *testing.F) {
	f.Add([]byte(ours))
	f.Add([]byte(`{"time":"x","msg":"a","seq":1,"n":[0,-0.5,1e9,{"a":null,"b":[true,false]}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if FormOf(line) != None && !json.Valid(line) {
			t.Errorf("FormOf(%q) takes what is not JSON", line)
		}
		var s scanner
		if end := s.object(line, s.spaces(line, 0), 0); (end >= 0 && s.spaces(line, end) == len(line)) && !json.Valid(line) {
			t.Errorf("%q is taken for JSON", line)
		}
	})
}

func BenchmarkFormOf(b *testing.B) {
	b.SetBytes(int64(len(ours)))
	for b.Loop() {
		FormOf([]byte(ours))
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
