// Package logger makes the program's own log, which all of its processes write: in the form that
// the config asks for, in that of systemd's journal where this reads it, and for a terminal without
// the characters by which names of files could command it.
//
// No caller waits for the reader of the log ([Lines]). Processes that this one has started write by
// a pipe, from which it copies to its own standard error ([Relay]). They have no descriptor of the
// terminal or file themselves, and the environment tells them what is at the other end.
//
// The records of handshakes are another log, that of package audit.
package logger
