// Package message has all that the keeper and its router say to each other by their channel, and
// what both have to know for the router to begin.
//
//	keeper                               router
//	opens logs and listener
//	config, ring ──────────────────────▶ reads the config
//	opens the TUN, changes the host ◀─── opened, or has said why not
//	TUN, lock, server, stream ─────────▶ builds tap and stack, gives up its rights
//	ready ◀───────────────────────────── running
//	      ◀───────────────────────────── records, by the ring
//	written ───────────────────────────▶ payload may pass
//	ping, reload, stop, files ─────────▶
//	      ◀───────────────────────────── pong, reloaded, ended
//
// An [Order] goes to the router, a [Word] comes from it. They are sent in JSON (package channel), a
// config and all that may be longer than a message by a pipe.
//
// A router of exec gets a [CommandRouting] besides. It tells of the command's attempts by the ring,
// between its records ([Told]).
//
// Both processes are of one program, so an order of another version is an error. The router
// believes its keeper. The keeper believes nothing of the router's: package keeper says what it
// does with the words of one that lies.
package message
