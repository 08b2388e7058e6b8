// Package sched runs the work of very many connections in few goroutines, so that a download does
// not delay a keystroke. It knows descriptors, bytes and time, but no protocol: a task's owner
// moves the bytes.
//
// # Theory of operation
//
// A [Task] is recurring work, such as one direction of a connection. An idle task costs its struct:
// no goroutine, no stack, no buffer. There are two ways to wake it. The [Poller] runs a task at
// once when its descriptor has an event ([Task.WakeInline]). Other callers hold locks, and queue it
// ([Task.Wake]).
//
// A task works in steps (scheduler.go). In one step a [Stepper] moves a budget of bytes, and
// reports whether there are more. Consecutive steps are a turn. A turn ends when nothing is left,
// after two megabytes, or when another task must go first. Long turns help throughput: a reader
// that finds much wakes less often.
//
// A task is interactive or bulk, depending on the bytes that its last turns have moved (task.go).
// The queue (queue.go) prefers interactive tasks, but runs a bulk task after at most 32 interactive
// ones. During interactive traffic, a bulk task moves one segment at a time, else eight.
//
// After each budget of bytes a worker yields (yield.go), so that goroutines that read descriptors
// can run and wake tasks. An interactive task that is then ready goes first. A task that drains
// input from a reader, such as an upload, yields only during interactive traffic: at each yield the
// reader would bring more than the caches hold, which makes eight uploads on one processor a
// quarter more expensive. So the first interactive packet may wait until the queue is empty, or for
// the ten milliseconds after which Go's runtime polls by itself.
//
// If packets arrive in quick succession, and not of bulk tasks alone, the poller polls briefly
// before it blocks (busypoll.go).
//
// # Workers
//
// The number of workers is an argument: the number of goroutines that Go's runtime runs at a time.
// With several workers, at least one runs no bulk task at any time. Its processor is free for
// interactive tasks, for the poller and for other readers. A single worker runs all tasks, and
// shares its processor with the readers by yielding.
//
// # Locks
//
// The queue's lock is the innermost: Wake may be called with any other lock held. The state of a
// task is one atomic word. Only the goroutine that owns the task touches its other fields and those
// of its work. Step is called with no lock held.
//
// All calls on descriptors are non-blocking and raw, without notice to Go's scheduler (package
// raw): they take microseconds, and a notice would cost a hand-over of the thread each time.
package sched
