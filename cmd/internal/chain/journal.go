package chain

import (
	"encoding/binary"
	"net"
	"strings"
	"time"
)

// journalID is the MESSAGE_ID of the heads in systemd's journal (systemd.journal-fields(7)).
const journalID = "5f0d5c0f1f0b4a6c9e6f5b7a3d2c1e90"

// journalSocket is where journald takes messages.
const journalSocket = "/run/systemd/journal/socket"

// journalTimeout is how long a message may take.
const journalTimeout = 3 * time.Second

// journal is an anchor in systemd's journal, which may be sealed, or sent to another host.
type journal struct{ log string }

func (j *journal) name() string { return "journald" }

// put sends a message with the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).
func (j *journal) put(line []byte) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: journalSocket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	text := strings.TrimSuffix(string(line), "\n")
	var b []byte
	for _, field := range []struct{ name, value string }{
		{"MESSAGE", "head of " + j.log + ": " + text},
		{"MESSAGE_ID", journalID},
		{"PRIORITY", "6"},
		{"SYSLOG_IDENTIFIER", "syntap"},
		{"SYNTAP_LOG", j.log},
		{"SYNTAP_HEAD", text},
	} {
		b = append(append(b, field.name...), '\n') // with its length, a value may have ends of lines
		b = binary.LittleEndian.AppendUint64(b, uint64(len(field.value)))
		b = append(append(b, field.value...), '\n')
	}
	if err := conn.SetDeadline(time.Now().Add(journalTimeout)); err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}
