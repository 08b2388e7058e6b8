package tcpdump

import (
	"strings"
	"testing"
	"time"
)

func TestTimestamp(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 2*3600)
	at := func(sec, usec int64) time.Time { return time.Unix(sec, usec*1000+999) }
	const first = 1700000000 // 2023-11-14 22:13:20 UTC
	tests := []struct {
		name            string
		form            Timestamp
		zone            *time.Location
		times           []time.Time
		classic, modern string // the stamps, with a bar behind each
	}{
		{"none", None, time.UTC, []time.Time{at(first, 125)}, "|", "|"},
		{"time", Time, time.UTC, []time.Time{at(first, 125)}, "22:13:20.000125 |", "22:13:20.000125 |"},
		{"time in a zone", Time, east, []time.Time{at(first, 125)}, "00:13:20.000125 |", "00:13:20.000125 |"},
		{
			"epoch", Epoch, time.UTC,
			[]time.Time{at(first, 125), at(0, 999999)},
			"1700000000.000125 |0.999999 |", "1700000000.000125 |0.999999 |",
		},
		{"date", Date, east, []time.Time{at(first, 125)}, "11/15/2023 00:13:20.000125 |", "2023-11-15 00:13:20.000125 |"},
		{
			"delta", Delta, time.UTC,
			[]time.Time{at(first, 0), at(first, 125), at(first+1, 20125), at(first, 520125)},
			"000000 |000125 |1. 020000 |-1. 500000 |",
			" 00:00:00.000000 | 00:00:00.000125 | 00:00:01.020000 |-00:00:00.500000 |",
		},
		{
			"since", Since, time.UTC,
			[]time.Time{at(first, 0), at(first+1, 0), at(first+86402, 0), at(first-1, 0)},
			"||||",
			" 00:00:00.000000 | 00:00:01.000000 | 00:00:02.000000 |-00:00:01.000000 |",
		},
		{
			"delta from zero", Delta, time.UTC,
			[]time.Time{at(0, 0), at(0, 7), at(0, 9), at(1, 9), at(3, 0)},
			"000000 |000000 |000000 |000000 |1. 999991 |",
			" 00:00:00.000000 | 00:00:00.000000 | 00:00:00.000002 | 00:00:01.000000 | 00:00:01.999991 |",
		},
		{"time from 2038 on", Time, time.UTC, []time.Time{at(1<<31, 0)}, "-3:-14:-8.000000 |", "[Error converting time] |"},
		{
			"date from 2038 on", Date, time.UTC,
			[]time.Time{at(1<<31-1, 0), at(1<<31, 0)},
			"01/19/2038 03:14:07.000000 |12/14/1901 -3:-14:-8.000000 |",
			"2038-01-19 03:14:07.000000 |[Error converting time] |",
		},
		{"epoch from 2038 on", Epoch, time.UTC, []time.Time{at(1<<31, 5)}, "2147483648.000005 |", "[Error converting time] |"},
		{
			"delta over 68 years", Delta, time.UTC,
			[]time.Time{at(1<<31, 0), at(first, 0)},
			"000000 |-447483648. 000000 |", " 00:00:00.000000 | [Error converting time] |",
		},
	}
	p := packet(ip4(protoTCP, syn()))
	for _, tt := range tests {
		for d, want := range [...]string{Classic: tt.classic, Modern: tt.modern} {
			pr := Printer{Dialect: Dialect(d), Timestamp: tt.form, Location: tt.zone}
			var got strings.Builder
			for _, at := range tt.times {
				line := string(pr.Append(nil, at, p))
				got.WriteString(strings.TrimSuffix(line, string(Append(nil, Dialect(d), p))) + "|")
			}
			if got.String() != want {
				t.Errorf("%s, %v:\n got %q\nwant %q", tt.name, Dialect(d), got.String(), want)
			}
		}
	}
}

func TestTimestampLocal(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 0)
	pr := Printer{Dialect: Modern, Timestamp: Time}
	got := string(pr.Append(nil, now.UTC(), packet(ip4(protoTCP, syn()))))
	if want := now.Local().Format("15:04:05.000000 IP "); !strings.HasPrefix(got, want) {
		t.Errorf("without a location: %q, want the prefix %q", got, want)
	}
}
