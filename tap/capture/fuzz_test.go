package capture_test

import (
	"bytes"
	"compress/gzip"
	"testing"
	"time"

	"syntap/tap/capture"
)

// FuzzReader feeds any bytes to the reader. It must end, stay inside the file, and keep its
// promises about lengths.
func FuzzReader(f *testing.F) {
	frame := ether(syn4(), 0x8100, 1, 0x88a8, 2, 0x0800)
	for _, link := range []uint32{
		0, 1, 9, 10, 12, 14, 50, 51, 101, 104, 105, 107, 108, 113, 117, 119, 127, 149, 163, 192, 228, 229, 239, 242, 258, 276, 281, 282, 284, 285,
	} {
		f.Add(little().pcapHeader(0xa1b2c3d4, 4, link).pcapPacket(1, 2, frame, 99).b)
	}
	aggregate := wifi(0x0188, nil)
	aggregate[24] = 0x80
	f.Add(little().pcapHeader(0xa1b2c3d4, 4, 105).pcapPacket(1, 2, append(aggregate[:26], make([]byte, 60)...), 99).b)
	f.Add(big().pcapHeader(0xa1b23c4d, 3, 1).pcapPacket(1, 2, frame, 9).pcapPacket(1, 2, nil, 0).b)
	f.Add(little().section().iface(1, 0, uint16(9), uint16(1), []byte{0x8a, 0, 0, 0}, uint16(14), uint16(8), uint64(9)).
		enhanced(0, 5, frame, 99).block(3, uint32(9), frame).
		block(2, uint32(0), uint64(5), uint32(40), uint32(40), frame).b)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(little().pcapHeader(0xa1b2c3d4, 4, 1).pcapPacket(1, 2, make([]byte, 500), 500).b) // to memory
	_ = z.Close()
	f.Add(zipped.Bytes())
	f.Add(big().section().iface(276, 40).enhanced(0, 5, frame, 99).section().iface(113, 0).enhanced(0, 5, frame, 99).b)

	f.Fuzz(func(t *testing.T, data []byte) {
		packets, _ := readAll(t, data)
		captured := 0
		for i, p := range packets {
			if !p.Part {
				captured += len(p.Frame) + 16 // the shortest block around a packet
			}
			if n := p.Notation(); n.Length < 0 {
				t.Errorf("packet %d: notation of %d bytes", i, n.Length)
			}
			if p.FrameLength < len(p.Frame) {
				t.Errorf("packet %d: %d of %d bytes captured", i, len(p.Frame), p.FrameLength)
			}
			if !bytes.Contains(p.Frame, p.Network) {
				t.Errorf("packet %d: network layer of %d bytes, %d captured, in a frame of %d, %d captured",
					i, p.NetworkLength, len(p.Network), p.FrameLength, len(p.Frame))
			}
		}
		compressed := bytes.HasPrefix(data, []byte("\x1f\x8b")) || bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd"))
		if captured > len(data) && !compressed {
			t.Errorf("%d captured bytes in a file of %d", captured, len(data))
		}
	})
}

// FuzzRoundTrip writes a packet and reads it back.
func FuzzRoundTrip(f *testing.F) {
	f.Add(syn4(), 1500, int64(1700000000), int64(123456789), "outcome=established", true)
	f.Add([]byte{}, 0, int64(0), int64(0), "", false)
	f.Fuzz(func(t *testing.T, frame []byte, length int, seconds, nanoseconds int64, comment string, nano bool) {
		unit := time.Microsecond
		if nano {
			unit = time.Nanosecond
		}
		when := time.Unix(int64(uint32(seconds)), int64(uint64(nanoseconds)%1e9))
		length &= 0xffffff
		frame = frame[:min(len(frame), 262144)]
		var out bytes.Buffer
		w, err := capture.NewWriter(&out, capture.LinkTypeRaw, unit)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.WritePacket(when, frame, length, comment, comment); err != nil {
				t.Fatal(err)
			}
		}
		packets, err := readAll(t, out.Bytes())
		if err != nil || len(packets) != 2 {
			t.Fatalf("%d packets: %v", len(packets), err)
		}
		for _, p := range packets {
			if !bytes.Equal(p.Frame, frame) || p.FrameLength != max(length, len(frame)) || !p.Time.Equal(when.Truncate(unit)) {
				t.Errorf("%d of %d bytes at %v, wrote %d of %d at %v", len(p.Frame), p.FrameLength, p.Time, len(frame), length, when)
			}
		}
	})
}
