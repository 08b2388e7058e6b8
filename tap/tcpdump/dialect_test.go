package tcpdump

import (
	"encoding"
	"fmt"
	"testing"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v    encoding.TextMarshaler
		want string
	}{
		{Classic, "classic"},
		{Modern, "modern"},
		{Dialect(9), "Dialect(9)"},
		{None, "none"},
		{Time, "time"},
		{Epoch, "epoch"},
		{Delta, "delta"},
		{Date, "date"},
		{Since, "since"},
		{Timestamp(9), "Timestamp(9)"},
	} {
		if text, err := tt.v.MarshalText(); err != nil || string(text) != tt.want || fmt.Sprint(tt.v) != tt.want {
			t.Errorf("MarshalText of %v = %q, %v; want %q", tt.v, text, err, tt.want)
		}
	}
}

func TestUnmarshalText(t *testing.T) {
	t.Parallel()
	for i, name := range dialectNames {
		var d Dialect
		if err := d.UnmarshalText([]byte(name)); err != nil || d != Dialect(i) {
			t.Errorf("UnmarshalText(%q) = %v, %v", name, d, err)
		}
	}
	for i, name := range timestampNames {
		var f Timestamp
		if err := f.UnmarshalText([]byte(name)); err != nil || f != Timestamp(i) {
			t.Errorf("UnmarshalText(%q) = %v, %v", name, f, err)
		}
	}
	var d Dialect
	if err := d.UnmarshalText([]byte("Modern")); err == nil || err.Error() != `parse dialect "Modern": want classic or modern` {
		t.Errorf("UnmarshalText(Modern) = %v", err)
	}
	var f Timestamp
	if err := f.UnmarshalText([]byte("")); err == nil || err.Error() != `parse timestamp "": want none, time, epoch, delta, date or since` {
		t.Errorf("UnmarshalText of nothing = %v", err)
	}
}
