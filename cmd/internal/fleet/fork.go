package fleet

// IsFork reports whether a log goes on from another one, with other records than that has: its name
// is made of that of the other and of its own first line.
func IsFork(of, log string, first []byte) bool { return forkID(of, first) == log }
