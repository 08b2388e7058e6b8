// Package hint carries errors to the person who typed the command: the failure, the
// remedy, and the exit status the shell sees. It holds no text of its own.
//
// A command returns an error. [Report], called once by main, prints it:
//
//	syntap: open /dev/net/tun: no such file or directory
//	hint: load the module with "modprobe tun"
//
// Both lines are lower case and end without a period. Any error can carry a hint and a status, also
// deep in a chain of wrapped errors: the text printed is that of the whole chain, the status that
// of the outermost [Error] and the hint the first one found. An error without an [Error] in its
// chain is a plain failure, status 1.
//
// Errors that belong together, such as all mistakes of a config file, form a [List] and are printed
// one after the other. [Exit] is for a command that stands in for another program: it passes on a
// status and prints nothing.
package hint
