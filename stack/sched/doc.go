// Package sched runs the work of very many connections in few goroutines, so that a download does
// not delay a keystroke. It knows descriptors, bytes and time. It knows no protocol: a task's owner
// moves the bytes.
//
// # Theory of operation
//
// A [Task] is a piece of work that comes again and again, such as one direction of a connection. An
// idle one costs its struct: no goroutine, no stack, no buffer. New work wakes a task, in two ways.
// The [Poller] has an event of its descriptor, and runs the task at once ([Task.WakeInline]). Other
// callers hold locks, and queue it ([Task.Wake]).
//
// A task does its work in steps (scheduler.go). A [Stepper] moves a budget of bytes and says
// whether there are more. Steps in a row make a turn. It ends when nothing is left, after two
// megabytes, or when another task has to go first. A long turn is good for throughput: a reader
// that finds much wakes less often.
//
// A task is interactive or bulk, by the bytes that its last turns have moved (task.go). The queue
// (queue.go) gives interactive tasks to the workers before bulk ones, and a bulk one after 32
// interactive ones at the latest. While there is interactive traffic, bulk tasks move a segment at
// a time, else eight.
//
// After each budget of bytes a worker yields (yield.go), so that readers of descriptors get to run
// and can wake tasks. If an interactive task waits then, it goes first. A task that drains what a
// reader brings, such as an upload, yields only while there is interactive traffic: else each yield
// has the reader bring more than the caches hold, which costs eight uploads on one processor a
// quarter more. The first interactive packet then waits until the queue is empty, or for the ten
// milliseconds after which Go's runtime looks by itself.
//
// Where packets come one soon after the other, the poller looks for more before it waits
// (busypoll.go).
//
// # Workers
//
// The number of workers is an argument: the number of goroutines that Go's runtime runs at a time.
// Of several workers one at least runs no bulk task at any time. Its processor is free for
// interactive tasks, for the poller and for other readers. A single worker runs all tasks, and
// shares its processor with the readers by yielding.
//
// # Locks
//
// The queue's lock is the innermost: Wake may be called with any other lock held. The state of a
// task is one atomic word, and only the goroutine that owns the task touches its other fields, and
// the fields of the work. Step is called with no lock held.
//
// All calls on descriptors are non-blocking and are made raw, past Go's scheduler: they take
// microseconds, and announcing each would cost a hand-over of the thread.
package sched
