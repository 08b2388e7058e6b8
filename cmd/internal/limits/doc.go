// Package limits knows what the system lets a process of the program use: processors, open files,
// addresses. Where one is less than it needs, it says so with the remedy.
//
// A router takes half of the processors, and has as many workers and queues of the TUN as it may
// use ([HalfOfProcessors], [Workers]). The keeper and the process that serves http.listen wait for
// most of their time: one processor is enough for them ([OneProcessor]).
package limits
