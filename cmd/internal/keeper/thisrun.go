//go:build linux

package keeper

import (
	"time"

	"syntap/cmd/internal/record"
)

// began is when the run began.
var began = time.Now()

// thisRun returns the run of this process and of those that it starts.
func thisRun() record.Run { return record.ThisRun(began) }
