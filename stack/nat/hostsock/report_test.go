//go:build linux

package hostsock

import (
	"net/netip"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// errorMessage returns the control message of an ICMP error from 192.0.0.0.
func errorMessage(origin, typ, code byte) []byte {
	b := make([]byte, unix.CmsgSpace(extendedErrLen+unix.SizeofSockaddrInet4))
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	c.Level, c.Type = unix.IPPROTO_IP, unix.IP_RECVERR
	c.SetLen(unix.CmsgLen(extendedErrLen + unix.SizeofSockaddrInet4))
	data := b[unix.CmsgLen(0):]
	*(*uint32)(unsafe.Pointer(&data[0])) = uint32(unix.EMSGSIZE)
	data[4], data[5], data[6] = origin, typ, code
	*(*uint32)(unsafe.Pointer(&data[8])) = 1300
	data[16], data[20] = unix.AF_INET, 192
	return b
}

// reportOf returns the report in control messages.
func reportOf(control []byte, v6 bool) (Report, bool) {
	var msg Msghdr
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(&msg.buffer[0])), len(msg.buffer)*8)
	msg.setControl(copy(buffer, control))
	return msg.Report(v6)
}

func TestReport(t *testing.T) {
	t.Parallel()
	want := Report{
		Errno: unix.EMSGSIZE, Type: 3, Code: 4, From: netip.MustParseAddr("192.0.0.0"), MTU: 1300,
		Marks: packet.Marks{HopLimit: packet.DefaultHopLimit},
	}
	if got, ok := reportOf(errorMessage(unix.SO_EE_ORIGIN_ICMP, 3, 4), false); !ok || got != want {
		t.Errorf("report %+v, %t, want %+v", got, ok, want)
	}
	if got, ok := reportOf(errorMessage(unix.SO_EE_ORIGIN_LOCAL, 3, 4), false); ok {
		t.Errorf("an error of the host itself is reported as %+v", got)
	}
	if got, ok := reportOf(errorMessage(unix.SO_EE_ORIGIN_ICMP, 3, 4), true); ok {
		t.Errorf("an error of the other family is reported as %+v", got)
	}
}

// FuzzReport: any control messages give a report with an address of the family, or none.
func FuzzReport(f *testing.F) {
	f.Add(errorMessage(unix.SO_EE_ORIGIN_ICMP, 3, 4), false)
	f.Add(errorMessage(unix.SO_EE_ORIGIN_LOCAL, 3, 4), true)
	f.Fuzz(func(t *testing.T, control []byte, v6 bool) {
		r, ok := reportOf(control, v6)
		if ok && (r.From.Is6() != v6 || r.V6 != v6 || r.MTU > 0 && r.Errno != syscall.EMSGSIZE) {
			t.Errorf("report %+v of %x", r, control)
		}
	})
}
