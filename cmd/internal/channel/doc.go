// Package channel carries messages between two processes of the program, one of which has started
// the other. Each message is a packet of JSON, which may carry descriptors.
//
// An attacker may control the other side. A message is bounded; the kernel drops the rest of a
// longer one. The receiver checks its content.
// An [Asker] puts questions to the other side, through a stream of their own: answers are longer,
// and of any form.
package channel
