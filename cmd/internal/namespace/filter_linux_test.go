package namespace

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// TestFilter asks the filters about system calls of every ABI, most of which this machine does not
// have.
func TestFilter(t *testing.T) {
	t.Parallel()
	const (
		amd64, i386, arm64, arm = unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM
		vsock                   = unix.AF_VSOCK
		high                    = 1 << 32 // above the 32 bits that the kernel takes for an int
	)
	tests := []struct {
		name   string
		goarch string
		arch   uint32
		number uint32
		args   [6]uint64
		want   unix.Errno // 0 = passes
	}{
		{"getpid", "amd64", amd64, 39, [6]uint64{}, 0},
		{"x32's getpid", "amd64", amd64, x32Bit | 39, [6]uint64{}, unix.ENOSYS},
		{"x32's socket", "amd64", amd64, x32Bit | 41, [6]uint64{unix.AF_INET}, unix.ENOSYS},
		{"foreign architecture", "amd64", arm64, 172, [6]uint64{}, unix.ENOSYS},
		{"i386 getpid", "amd64", i386, 20, [6]uint64{}, 0},
		{"i386 TIOCSTI", "amd64", i386, 54, [6]uint64{0, unix.TIOCSTI}, unix.EPERM},
		{"i386 TCGETS", "amd64", i386, 54, [6]uint64{0, unix.TCGETS}, 0},
		{"i386 socket", "amd64", i386, 359, [6]uint64{unix.AF_INET6}, 0},
		{"i386 vsock", "amd64", i386, 359, [6]uint64{vsock}, unix.EAFNOSUPPORT},
		{"i386 socketcall socket", "amd64", i386, 102, [6]uint64{1}, unix.EAFNOSUPPORT},
		{"i386 socketcall socketpair", "amd64", i386, 102, [6]uint64{8}, unix.EAFNOSUPPORT},
		{"i386 socketcall connect", "amd64", i386, 102, [6]uint64{3}, 0},
		{"i386 request_key", "amd64", i386, 287, [6]uint64{1, 2, 3}, unix.EPERM},
		{"i386 io_uring_setup", "amd64", i386, 425, [6]uint64{}, unix.ENOSYS},
		{"TIOCSTI", "arm64", arm64, 29, [6]uint64{0, unix.TIOCSTI | high}, unix.EPERM},
		{"TIOCLINUX", "arm64", arm64, 29, [6]uint64{0, tioclinux}, unix.EPERM},
		{"vsock", "arm64", arm64, 198, [6]uint64{vsock | high}, unix.EAFNOSUPPORT},
		{"IPv4", "arm64", arm64, 198, [6]uint64{unix.AF_INET}, 0},
		{"packet", "arm64", arm64, 198, [6]uint64{unix.AF_PACKET}, unix.EAFNOSUPPORT},
		{"pair of vsock", "arm64", arm64, 199, [6]uint64{vsock}, unix.EAFNOSUPPORT},
		{"request_key without callout", "arm64", arm64, 218, [6]uint64{1, 2, 0}, 0},
		{"request_key with callout", "arm64", arm64, 218, [6]uint64{1, 2, high}, unix.EPERM},
		{"io_uring_enter", "arm64", arm64, 426, [6]uint64{}, unix.ENOSYS},
		{"arm vsock", "arm64", arm, 281, [6]uint64{vsock}, unix.EAFNOSUPPORT},
		{"arm TIOCSTI", "arm64", arm, 54, [6]uint64{0, unix.TIOCSTI}, unix.EPERM},
		{"arm IPv6", "arm64", arm, 281, [6]uint64{unix.AF_INET6}, 0},
	}
	for _, tt := range tests {
		program := []bpf.Instruction{}
		raw, err := filterFor(tt.goarch, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range raw {
			program = append(program, in.Disassemble())
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		verdict, err := vm.Run(seccompData(tt.arch, tt.number, tt.args))
		if err != nil {
			t.Fatal(err)
		}
		want := unix.SECCOMP_RET_ALLOW
		if tt.want != 0 {
			want = unix.SECCOMP_RET_ERRNO | int(tt.want)
		}
		if verdict != want {
			t.Errorf("%s on %s: %#x, want %#x", tt.name, tt.goarch, verdict, want)
		}
	}
	if filter, err := filterFor("riscv64", false); filter != nil || err != nil {
		t.Errorf("filterFor(riscv64) = %v, %v; want none", filter, err)
	}
}

// seccompData is struct seccomp_data, its words in the order of bytes that the VM expects.
func seccompData(arch, number uint32, args [6]uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, number)
	b = binary.BigEndian.AppendUint32(b, arch)
	b = append(b, make([]byte, 8)...) // instruction pointer
	for _, a := range args {
		b = binary.BigEndian.AppendUint32(b, uint32(a))
		b = binary.BigEndian.AppendUint32(b, uint32(a>>32))
	}
	return b
}
