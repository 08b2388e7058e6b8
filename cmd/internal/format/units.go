package format

import (
	"math"
	"strconv"
	"time"
)

// Span returns a duration with three significant digits.
func Span(d time.Duration) string { return string(appendSpan(nil, d)) }

// Size returns a number of bytes with three significant digits.
func Size(n uint64) string { return string(appendSize(nil, n)) }

// appendSpan appends a Span.
func appendSpan(dst []byte, d time.Duration) []byte {
	switch {
	case d < time.Millisecond:
		return append(strconv.AppendInt(dst, d.Microseconds(), 10), " µs"...)
	case d < time.Second:
		return append(threeDigits(dst, float64(d)/float64(time.Millisecond)), " ms"...)
	case d < time.Minute:
		return append(threeDigits(dst, d.Seconds()), " s"...)
	}
	return append(dst, d.Round(time.Second).String()...)
}

// appendSize appends a Size.
func appendSize(dst []byte, n uint64) []byte {
	if n < 1024 {
		return append(strconv.AppendUint(dst, n, 10), " B"...)
	}
	v := float64(n)
	for _, unit := range []string{" KiB", " MiB", " GiB", " TiB"} {
		if v /= 1024; v < 1000 || unit == " TiB" {
			return append(threeDigits(dst, v), unit...)
		}
	}
	return dst
}

// threeDigits appends v with three significant digits. strconv.AppendFloat, which handles any
// number of digits, takes longer.
func threeDigits(dst []byte, v float64) []byte {
	behind, shift := 0, 1.0
	switch {
	case v < 10:
		behind, shift = 2, 100
	case v < 100:
		behind, shift = 1, 10
	}
	n := uint64(math.RoundToEven(v * shift))
	at := len(dst)
	dst = strconv.AppendUint(dst, n, 10)
	if behind == 0 {
		return dst
	}
	for len(dst)-at <= behind { // below one
		dst = append(dst[:at+1], dst[at:]...)
		dst[at] = '0'
	}
	point := len(dst) - behind
	dst = append(dst[:point+1], dst[point:]...)
	dst[point] = '.'
	return dst
}
