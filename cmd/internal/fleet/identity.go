package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// LogIDOf returns the name of a log by the line, without its end, of its first record.
func LogIDOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:8])
}

// forkID returns the name under which a log goes on whose record with that line contradicts the
// store.
func forkID(log string, line []byte) string {
	return LogIDOf(fmt.Appendf(nil, "%s\n%s", log, line))
}

// hashOf returns the SHA-256 of a line in hex.
func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
