package namespace

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
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
	program := []bpf.Instruction{loadWord(archAt)}
	for _, a := range known {
		block := a.block(packetSockets)
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a.arch, SkipTrue: uint8(len(block))})
		program = append(program, block...)
	}
	raw, err := bpf.Assemble(append(program, fail(unix.ENOSYS)))
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
	block := []bpf.Instruction{loadWord(numberAt)}
	if a.x32 {
		block = append(block, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1}, fail(unix.ENOSYS))
	}
	for _, rule := range []struct {
		number uint32
		body   []bpf.Instruction
	}{
		{a.ioctl, unlessOneOf(1, unix.EPERM, unix.TIOCSTI, tioclinux)},
		{a.socket, onlyOneOf(0, unix.EAFNOSUPPORT, families...)},
		{a.socketpair, onlyOneOf(0, unix.EAFNOSUPPORT, families...)},
		// Its families stand in memory, out of a filter's sight.
		{a.socketcall, unlessOneOf(0, unix.EAFNOSUPPORT, callSocket, callSocketpair)},
		// Without callout information it looks for a key and runs no program to get one
		// (request_key(2)).
		{a.requestKey, onlyNull(2, unix.EPERM)},
		// Its operations are calls that no filter sees, socket among them.
		{ioUringSetup, []bpf.Instruction{fail(unix.ENOSYS)}},
		{ioUringEnter, []bpf.Instruction{fail(unix.ENOSYS)}},
		{ioUringRegister, []bpf.Instruction{fail(unix.ENOSYS)}},
	} {
		if rule.number == 0 {
			continue
		}
		block = append(block, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: rule.number, SkipTrue: uint8(len(rule.body))})
		block = append(block, rule.body...)
	}
	return append(block, pass)
}

// Offsets in struct seccomp_data.
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16 // of eight bytes each, the lower half first: the architectures above are little-endian
)

func loadWord(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }

// loadArg loads the lower half of an argument: all that the kernel looks at where its type is int.
func loadArg(n uint32) bpf.Instruction { return loadWord(argsAt + 8*n) }

var pass = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}

// fail makes a system call return an error.
func fail(errno unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// onlyOneOf passes a call whose argument n, an int, has one of the values.
func onlyOneOf(n uint32, errno unix.Errno, values ...uint32) []bpf.Instruction {
	return choose(n, values, pass, fail(errno))
}

// unlessOneOf passes a call whose argument n, an int, has none of the values.
func unlessOneOf(n uint32, errno unix.Errno, values ...uint32) []bpf.Instruction {
	return choose(n, values, fail(errno), pass)
}

func choose(n uint32, values []uint32, match, otherwise bpf.Instruction) []bpf.Instruction {
	body := []bpf.Instruction{loadArg(n)}
	for i, v := range values {
		body = append(body, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(values) - i)})
	}
	return append(body, otherwise, match)
}

// onlyNull passes a call whose argument n, a pointer, is null.
func onlyNull(n uint32, errno unix.Errno) []bpf.Instruction {
	return []bpf.Instruction{
		loadArg(n),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 2},
		loadWord(argsAt + 8*n + 4),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		fail(errno),
		pass,
	}
}
