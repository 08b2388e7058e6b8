package seccomp

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16 // of eight bytes each, the lower half first on the little-endian machines that filters are for
)

// LoadNumber and LoadArch load the number of the call and its AUDIT_ARCH_*.
var (
	LoadNumber = loadWord(numberAt)
	LoadArch   = loadWord(archAt)
)

func loadWord(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }

// loadArg loads the lower half of an argument: all that the kernel looks at where its type is int.
func loadArg(n uint32) bpf.Instruction { return loadWord(argsAt + 8*n) }

// Pass lets the kernel do a system call.
var Pass bpf.Instruction = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}

// Fail makes a system call return an error.
func Fail(errno unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// Rule judges the calls of one number.
type Rule struct {
	Number uint32
	Check  []bpf.Instruction // of at most 255 instructions; it ends with a verdict on all of its ways
}

// Rules judge by the first of some rules that has the number of the call, which is loaded. The
// instructions behind them judge all other calls.
func Rules(rules ...Rule) (program []bpf.Instruction) {
	for _, r := range rules {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: r.Number, SkipTrue: uint8(len(r.Check))})
		program = append(program, r.Check...)
	}
	return program
}

// OnlyOneOf passes a call whose argument n, an int, has one of the values.
func OnlyOneOf(n uint32, errno unix.Errno, values ...uint32) []bpf.Instruction {
	return choose(n, values, Pass, Fail(errno))
}

// UnlessOneOf passes a call whose argument n, an int, has none of the values.
func UnlessOneOf(n uint32, errno unix.Errno, values ...uint32) []bpf.Instruction {
	return choose(n, values, Fail(errno), Pass)
}

func choose(n uint32, values []uint32, match, otherwise bpf.Instruction) []bpf.Instruction {
	body := []bpf.Instruction{loadArg(n)}
	for i, v := range values {
		body = append(body, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(values) - i)})
	}
	return append(body, otherwise, match)
}

// If judges a call whose argument n, an int, has a value by one check, and all others by another.
func If(n, value uint32, then, otherwise []bpf.Instruction) []bpf.Instruction {
	body := []bpf.Instruction{
		loadArg(n),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: uint8(len(then))},
	}
	return append(append(body, then...), otherwise...)
}

// OnlyNull passes a call whose argument n, a pointer, is null.
func OnlyNull(n uint32, errno unix.Errno) []bpf.Instruction {
	return []bpf.Instruction{
		loadArg(n),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 2},
		loadWord(argsAt + 8*n + 4),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		Fail(errno),
		Pass,
	}
}

// OnlyBits passes a call of whose argument n the lower half, masked, has a value.
func OnlyBits(n uint32, errno unix.Errno, mask, value uint32) []bpf.Instruction {
	return []bpf.Instruction{
		loadArg(n),
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1},
		Fail(errno),
		Pass,
	}
}

// Both passes a call that two checks pass, of which the first is one of OnlyOneOf, OnlyNull or
// OnlyBits.
func Both(first, second []bpf.Instruction) []bpf.Instruction {
	return append(first[:len(first)-1:len(first)-1], second...) // it ends with Pass
}
