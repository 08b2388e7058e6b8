package namespace

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/seccomp"
)

// The filter of system calls (seccomp(2)) closes the ways past the TUN that no namespace closes:
// characters typed into the caller's terminal, sockets that belong to no network namespace, and
// programs that the kernel runs on the host for the one who asks. Everything else passes.

// abi is one numbering of the system calls; 0 stands for a call that it lacks.
type abi struct {
	arch uint32 // AUDIT_ARCH_*
	x32  bool   // numbers from x32Bit on belong to a second ABI

	ioctl, socket, socketpair, socketcall, requestKey uint32
}

// x32Bit marks the numbers of x32 (__X32_SYSCALL_BIT).
const x32Bit = 0x4000_0000

// abis are those that a kernel may offer its processes, by GOARCH.
var abis = map[string][]abi{
	"amd64": {
		{arch: unix.AUDIT_ARCH_X86_64, x32: true, ioctl: 16, socket: 41, socketpair: 53, requestKey: 249},
		{arch: unix.AUDIT_ARCH_I386, ioctl: 54, socket: 359, socketpair: 360, socketcall: 102, requestKey: 287},
	},
	"arm64": {
		{arch: unix.AUDIT_ARCH_AARCH64, ioctl: 29, socket: 198, socketpair: 199, requestKey: 218},
		{arch: unix.AUDIT_ARCH_ARM, ioctl: 54, socket: 281, socketpair: 288, requestKey: 310},
	},
}

// Values of arguments.
const (
	tioclinux = 0x541c // TIOCLINUX (ioctl_console(2)): paste the console's selection, among others

	// Sub-calls of socketcall(2).
	callSocket     = 1
	callSocketpair = 8

	// The same numbers in every ABI.
	ioUringSetup    = 425
	ioUringEnter    = 426
	ioUringRegister = 427
)

// filterFor returns the filter for a GOARCH, nil where none is known. With packetSockets AF_PACKET
// is one of the families that a socket may have.
func filterFor(goarch string, packetSockets bool) ([]bpf.RawInstruction, error) {
	known := abis[goarch]
	if known == nil {
		return nil, nil
	}
	program := []bpf.Instruction{seccomp.LoadArch}
	for _, a := range known {
		block := a.block(packetSockets)
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a.arch, SkipTrue: uint8(len(block))})
		program = append(program, block...)
	}
	raw, err := bpf.Assemble(append(program, seccomp.Fail(unix.ENOSYS)))
	if err != nil {
		return nil, fmt.Errorf("assemble system call filter: %w", err)
	}
	return raw, nil
}

// block decides on every call of an ABI.
func (a abi) block(packetSockets bool) []bpf.Instruction {
	families := []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	if packetSockets {
		families = append(families, unix.AF_PACKET)
	}
	block := []bpf.Instruction{seccomp.LoadNumber}
	if a.x32 {
		block = append(block, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1}, seccomp.Fail(unix.ENOSYS))
	}
	fail := []bpf.Instruction{seccomp.Fail(unix.ENOSYS)}
	for _, rule := range []seccomp.Rule{
		{Number: a.ioctl, Check: seccomp.UnlessOneOf(1, unix.EPERM, unix.TIOCSTI, tioclinux)},
		{Number: a.socket, Check: seccomp.OnlyOneOf(0, unix.EAFNOSUPPORT, families...)},
		{Number: a.socketpair, Check: seccomp.OnlyOneOf(0, unix.EAFNOSUPPORT, families...)},
		// Its families stand in memory, out of a filter's sight.
		{Number: a.socketcall, Check: seccomp.UnlessOneOf(0, unix.EAFNOSUPPORT, callSocket, callSocketpair)},
		// Without callout information it looks for a key and runs no program to get one
		// (request_key(2)).
		{Number: a.requestKey, Check: seccomp.OnlyNull(2, unix.EPERM)},
		// Its operations are calls that no filter sees, socket among them.
		{Number: ioUringSetup, Check: fail},
		{Number: ioUringEnter, Check: fail},
		{Number: ioUringRegister, Check: fail},
	} {
		if rule.Number != 0 {
			block = append(block, seccomp.Rules(rule)...)
		}
	}
	return append(block, seccomp.Pass)
}
