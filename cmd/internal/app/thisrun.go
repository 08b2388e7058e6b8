//go:build linux

package app

import (
	"os"
	"strings"
	"sync"
	"time"

	"syntap/cmd/internal/record"
)

// began is when the run began: that of the keeper, in its routers.
var began = time.Now()

// thisRun returns the run of this process, whose id and host stand in all records that it makes.
var thisRun = sync.OnceValue(func() record.Run {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it the time alone tells runs apart
	return record.NewRun(host, strings.TrimSpace(string(boot)), began)
})
