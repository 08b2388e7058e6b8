// Package attempt keeps the attempts of a command to reach servers: those that policy denied, for
// the user to read and to allow.
//
// An attempt is a handshake, a flow without one, or a DNS query that policy answers. Its target is
// written as the rules of the command line are.
package attempt
