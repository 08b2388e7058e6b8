package tun

// For tests of an interface of which another process opens a queue at once.
var (
	OpenQueue = openQueue
	Own       = own
	ErrTaken  = errTaken
)
