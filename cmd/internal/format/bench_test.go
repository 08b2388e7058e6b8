package format

import (
	"bytes"
	"testing"
)

// benchmarks append a record in one form.
var benchmarks = []struct {
	name   string
	append func(dst []byte, r *Record) []byte
}{
	{"ocsf", new(OCSF).Append},
	{"ecs", new(ECS).Append},
	{"zeek", new(ZeekLog).Append},
	{"csv", func(dst []byte, r *Record) []byte { return new(CSV).Append(dst, connection(r)) }},
	{"line", func(dst []byte, r *Record) []byte { return new(Line).Append(dst, connection(r)) }},
}

// BenchmarkLive writes an attempt of a local client and its end, as a sink does.
func BenchmarkLive(b *testing.B) {
	for _, form := range benchmarks {
		b.Run(form.name, func(b *testing.B) {
			begin, end := attempts()[2], flows()[0]
			begin.Opening, end.Key = known(), begin.Key()
			var l Live
			var r Record
			var text []byte
			b.ReportAllocs()
			for b.Loop() {
				l.Handshake(&r, begin)
				text = form.append(text[:0], &r)
				l.Flow(&r, end)
				text = form.append(text[:0], &r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/record")
		})
	}
}

// BenchmarkDecode reads a handshake of a JSON log and writes it.
func BenchmarkDecode(b *testing.B) {
	var line []byte
	eachLive(func(_ *Record, l []byte) {
		if line == nil && bytes.Contains(l, []byte(`"established"`)) {
			line = l
		}
	})
	for _, form := range benchmarks {
		b.Run(form.name, func(b *testing.B) {
			d := Decoder{Brief: form.name == "csv" || form.name == "line"}
			var r Record
			var text []byte
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(line, &r)
				text = form.append(text[:0], &r)
			}
		})
	}
}
