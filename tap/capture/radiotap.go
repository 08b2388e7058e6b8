package capture

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Flags of radiotap (https://www.radiotap.org/fields/Flags.html).
const (
	radiotapFCS = 0x10 // the frame ends with its check sequence
	radiotapPad = 0x20 // the 802.11 header is padded to four bytes
)

// Numbers of radiotap's fields that the text of others depends on.
const (
	radiotapXChannel  = 18
	radiotapMCS       = 19
	radiotapNamespace = 29
	radiotapVendor    = 30
	radiotapExtended  = 31
)

func (p *Packet) decodeRadiotap() {
	r := radiotap{frame: p.Frame, silent: true}
	if r.walk() {
		p.decodeWiFi(len(r.header), r.flags)
	}
}

// radiotap is a walk over the fields of a radiotap header, whose text is tcpdump's.
type radiotap struct {
	frame  []byte
	header []byte
	at     int // in header
	flags  uint8
	text   []byte // nil: none is made
	silent bool   // no text is asked for
}

// walk goes over the fields. It reports whether the frame has the whole header.
func (r *radiotap) walk() bool {
	const least = 8
	if len(r.frame) < least {
		return false
	}
	length := int(binary.LittleEndian.Uint16(r.frame[2:]))
	if length < least || len(r.frame) < length {
		return false
	}
	r.header = r.frame[:length]
	words := 1
	for ; r.word(words-1)>>radiotapExtended != 0; words++ {
		if len(r.header) < 4+4*(words+1) {
			return false
		}
	}
	r.at = 4 + 4*words
	first, vendor, skip := 0, false, 0
	for i := range words {
		present := r.word(i)
		if vendor {
			if r.at+skip > len(r.header) {
				break
			}
			r.at, skip = r.at+skip, 0
		} else if !r.fields(present, first) {
			break
		}
		switch present >> radiotapNamespace & 3 {
		case 0:
			first += 32
		case 1:
			first, vendor, skip = 0, false, 0
		case 2:
			first, vendor = 0, true
			if b := r.take(6, 2); b != nil {
				skip = int(binary.LittleEndian.Uint16(b[4:]))
			}
		}
	}
	return true
}

// word returns a word of the bitmap of fields.
func (r *radiotap) word(i int) uint32 { return binary.LittleEndian.Uint32(r.header[4+4*i:]) }

// take returns the next n bytes at an alignment from the beginning of the header; nil if they are
// not there.
func (r *radiotap) take(n, align int) []byte {
	from := (r.at + align - 1) / align * align
	if from+n > len(r.header) {
		return nil
	}
	r.at = from + n
	return r.header[from:r.at]
}

func (r *radiotap) print(format string, args ...any) {
	if !r.silent {
		r.text = fmt.Appendf(r.text, format, args...)
	}
}

// sizes holds length and alignment of each field, zero for one that is not known.
var radiotapSizes = [...][2]int{
	0: {8, 8}, 1: {1, 1}, 2: {1, 1}, 3: {4, 2}, 4: {2, 1}, 5: {1, 1}, 6: {1, 1}, 7: {2, 2}, 8: {2, 2},
	9: {1, 1}, 10: {1, 1}, 11: {1, 1}, 12: {1, 1}, 13: {1, 1}, 14: {2, 2}, 18: {8, 4}, 19: {3, 1},
	20: {8, 4}, 21: {12, 2},
}

// fields goes over the fields of a word of the bitmap, whose first has the number given. It reports
// whether the next word can be read.
func (r *radiotap) fields(present uint32, first int) bool {
	for i := range radiotapNamespace {
		if present>>i&1 == 0 {
			continue
		}
		field := first + i
		if field >= len(radiotapSizes) || radiotapSizes[field][0] == 0 {
			r.print("[bit %d] ", field)
			return false
		}
		b := r.take(radiotapSizes[field][0], radiotapSizes[field][1])
		if b == nil {
			r.print(" [|802.11_radio]")
			return false
		}
		if field == 1 {
			r.flags = b[0]
		}
		if !r.silent {
			r.field(field, b, present)
		}
	}
	return true
}

// field adds the text of a field.
func (r *radiotap) field(field int, b []byte, present uint32) {
	le := binary.LittleEndian
	switch field {
	case 0:
		r.print("%dus tsft ", le.Uint64(b))
	case 1:
		for i, word := range []string{"cfp ", "short preamble ", "wep ", "fragmented ", "", "", "bad-fcs "} {
			if b[0]>>i&1 != 0 {
				r.print("%s", word)
			}
		}
	case 2:
		if b[0]&0xf0 == 0x80 {
			r.print("MCS %d ", b[0]&0x7f)
		} else {
			r.print("%2.1f Mb/s ", float64(b[0])/2)
		}
	case 3:
		if present>>radiotapXChannel&1 == 0 {
			r.channel(le.Uint16(b), uint32(le.Uint16(b[2:])), present)
		}
	case 4:
		r.print("fhset %d fhpat %d ", b[0], b[1])
	case 5:
		r.print("%ddBm signal ", int8(b[0]))
	case 6:
		r.print("%ddBm noise ", int8(b[0]))
	case 7:
		r.print("%d sq ", le.Uint16(b))
	case 8:
		r.print("%d tx power ", -int(int16(le.Uint16(b))))
	case 9:
		r.print("%ddB tx attenuation ", -int(int8(b[0])))
	case 10:
		r.print("%ddBm tx power ", int8(b[0]))
	case 11:
		r.print("antenna %d ", b[0])
	case 12:
		r.print("%ddB signal ", b[0])
	case 13:
		r.print("%ddB noise ", b[0])
	case radiotapXChannel:
		r.channel(le.Uint16(b[4:]), le.Uint32(b), present)
	case radiotapMCS:
		r.mcs(b)
	case 21:
		r.vht(b)
	}
}

// channel adds the text of a channel with a frequency in MHz.
func (r *radiotap) channel(frequency uint16, flags, present uint32) {
	has := func(bits uint32) bool { return flags&bits == bits }
	width := ""
	switch {
	case has(0x4000):
		width = "/10Mhz"
	case has(0x8000):
		width = "/5Mhz"
	}
	r.print("%d MHz", frequency)
	if present>>radiotapMCS&1 != 0 {
		r.print(" 11n")
	} else {
		if has(0x0880) {
			r.print(" FHSS")
		}
		if has(0x0140) {
			r.print(" 11a%s", width)
		}
		if has(0x00c0) || has(0x0480) {
			r.print(" 11g%s", width)
		} else if has(0x00a0) {
			r.print(" 11b")
		}
		if has(0x0010) {
			r.print(" Turbo")
		}
	}
	switch {
	case has(0x10000):
		r.print(" ht/20")
	case has(0x40000):
		r.print(" ht/40-")
	case has(0x20000):
		r.print(" ht/40+")
	}
	r.print(" ")
}

// mcsUnits holds the rate of each modulation and coding scheme of 802.11n in units of 6.5 Mb/s, for
// 20 MHz and a long guard interval (IEEE 802.11 §19.5).
var mcsUnits = [77]uint8{
	1, 2, 3, 4, 6, 8, 9, 10, 2, 4, 6, 8, 12, 16, 18, 20, 3, 6, 9, 12, 18, 24, 27, 30, 4, 8, 12, 16, 24, 32,
	36, 40, 0, 6, 8, 10, 9, 12, 15, 8, 10, 10, 12, 14, 14, 16, 12, 15, 15, 18, 21, 21, 24, 10, 12, 14, 12,
	14, 16, 18, 16, 18, 20, 20, 22, 15, 18, 21, 18, 21, 24, 27, 24, 27, 30, 30, 33,
}

// mcsRate returns a rate in Mb/s; 0 if there is none.
func mcsRate(index uint8, wide, short bool) float64 {
	if int(index) >= len(mcsUnits) {
		return 0
	}
	rate := float64(mcsUnits[index]) * 6.5
	if wide {
		rate = rate * 27 / 13
		if index == 32 {
			rate = 6
		}
	}
	if short {
		rate = rate * 10 / 9
	}
	return math.Round(rate*10) / 10
}

// mcs adds the text of the field of 802.11n.
func (r *radiotap) mcs(b []byte) {
	known, flags, index := b[0], b[1], b[2]
	short := flags&0x04 != 0
	if known&0x02 != 0 {
		rate := 0.0
		if known&0x05 != 0 {
			rate = mcsRate(index, flags&3 == 1, short)
		}
		if rate != 0 {
			r.print("%.1f Mb/s ", rate)
		}
		r.print("MCS %d ", index)
	}
	if known&0x01 != 0 {
		r.print("%s ", vhtWidths[flags&3])
	}
	if known&0x04 != 0 {
		r.print("%s GI ", choose(short, "short", "long"))
	}
	if known&0x08 != 0 {
		r.print("%s ", choose(flags&0x08 != 0, "greenfield", "mixed"))
	}
	if known&0x10 != 0 {
		r.print("%s FEC ", choose(flags&0x10 != 0, "LDPC", "BCC"))
	}
	if known&0x20 != 0 {
		r.print("RX-STBC%d ", flags>>5&3)
	}
}

// vhtWidths are tcpdump's words for the bandwidths of 802.11ac.
var vhtWidths = [32]string{
	"20 MHz", "40 MHz", "20 MHz (L)", "20 MHz (U)", "80 MHz", "80 MHz (L)", "80 MHz (U)", "80 MHz (LL)",
	"80 MHz (LU)", "80 MHz (UL)", "80 MHz (UU)", "160 MHz", "160 MHz (L)", "160 MHz (U)",
	"160 MHz (LL)", "160 MHz (LU)", "160 MHz (UL)", "160 MHz (UU)", "160 MHz (LLL)", "160 MHz (LLU)",
	"160 MHz (LUL)", "160 MHz (UUU)", "160 MHz (ULL)", "160 MHz (ULU)", "160 MHz (UUL)",
	"160 MHz (UUU)", "unknown (26)", "unknown (27)", "unknown (28)", "unknown (29)", "unknown (30)",
	"unknown (31)",
}

// vht adds the text of the field of 802.11ac.
func (r *radiotap) vht(b []byte) {
	known, flags, width, coding := binary.LittleEndian.Uint16(b), b[2], b[3], b[8]
	for i, user := range b[4:8] {
		if user&0x0f != 0 {
			r.print("User %d MCS %d %s FEC ", i, user>>4, choose(coding>>i&1 != 0, "LDPC", "BCC"))
		}
	}
	if known&0x40 != 0 {
		r.print("%s ", vhtWidths[width&0x1f])
	}
	if known&0x04 != 0 {
		r.print("%s GI ", choose(flags&0x04 != 0, "short", "long"))
	}
}

func choose(yes bool, first, second string) string {
	if yes {
		return first
	}
	return second
}
