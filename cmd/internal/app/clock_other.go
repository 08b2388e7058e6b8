//go:build !unix

package app

import "time"

// monotonic is for service managers, which are on Unix.
func monotonic() time.Duration { return 0 }
