//go:build linux

package netstack

import (
	"reflect"
	"unsafe"

	"github.com/google/btree"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// ranges are the sequence numbers that a client has acknowledged selectively.
type ranges = btree.BTreeG[header.SACKBlock]

// slimScoreboard makes an endpoint share the memory for its scoreboard's nodes with others.
// Netstack gives each endpoint memory for 32 free nodes, 288 bytes, which a connection without loss
// never uses.
func slimScoreboard(e *tcp.Endpoint) {
	e.LockUser()
	defer e.UnlockUser()
	board := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(e), scoreboardAt))
	if board == nil {
		return
	}
	if own := (**ranges)(unsafe.Add(board, rangesAt)); (*own).Len() == 0 {
		*own = btree.NewWithFreeListG(scoreboardDegree, firstRange, freeRanges)
	}
}

// scoreboardDegree is netstack's: each node has at most three ranges.
const scoreboardDegree = 2

// freeRanges are nodes of scoreboards for the next loss.
var freeRanges = btree.NewFreeListG[header.SACKBlock](btree.DefaultFreeListSize)

func firstRange(a, b header.SACKBlock) bool { return a.Start.LessThan(b.Start) }

// scoreboardAt and rangesAt are the places of the scoreboard in the endpoint, and of the ranges in
// the scoreboard.
var (
	scoreboardAt = offsetOf[tcp.Endpoint, *tcp.SACKScoreboard]("scoreboard")
	rangesAt     = offsetOf[tcp.SACKScoreboard, *ranges]("ranges")
)

// offsetOf returns the place of a field in a struct of netstack's.
func offsetOf[Struct, Field any](name string) uintptr {
	field, ok := reflect.TypeFor[Struct]().FieldByName(name)
	if !ok || field.Type != reflect.TypeFor[Field]() {
		panic("netstack: " + reflect.TypeFor[Struct]().String() + " has no such field " + name + " any more")
	}
	return field.Offset
}
