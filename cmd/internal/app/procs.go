package app

import "runtime"

// LimitProcs keeps half of the processors free of Go: the kernel needs them to carry packets. With
// more runnable goroutines than work for them, each wake-up would cost an interrupt to another
// processor. It changes nothing where the operator has set GOMAXPROCS.
func LimitProcs(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}

// lendProc returns what gives Go, where it has one processor, a second one for as long as many
// uploads are in full swing, for stack.Options.Crowded: reading their packets and writing to their
// sockets then go on at the same time. nil = there is none to lend, or the operator has set how
// many there are.
func lendProc(getenv func(string) string) func(crowded bool) {
	if getenv("GOMAXPROCS") != "" || runtime.NumCPU() == 1 {
		return nil
	}
	return func(crowded bool) {
		n := 1
		if crowded {
			n = 2
		}
		runtime.GOMAXPROCS(n)
	}
}
