package record

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"time"
)

// Run identifies one run of the program on one host. The zero value means none, as in records of
// captures.
type Run struct {
	ID      string // 16 hex digits
	Host    string
	members string // as they stand in a record
}

// NewRun returns the run that began at a time after a boot of a host. Its id is 16 hex digits: the
// first of the SHA-256 of the boot's id and of the time in nanoseconds since 1970.
func NewRun(host, bootID string, began time.Time) Run {
	sum := sha256.Sum256(strconv.AppendInt([]byte(bootID+" "), began.UnixNano(), 10))
	r := Run{ID: hex.EncodeToString(sum[:8]), Host: host}
	var o object
	o.string(`,"run_id":`, r.ID)
	o.known(`,"host":`, host)
	r.members = string(o.b)
	return r
}

// ThisRun returns the run on this host, since it was booted, that began at a time.
func ThisRun(began time.Time) Run {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it the time alone tells runs apart
	return NewRun(host, strings.TrimSpace(string(boot)), began)
}
