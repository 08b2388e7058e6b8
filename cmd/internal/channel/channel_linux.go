package channel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// FD is where a child finds its end, the first of exec.Cmd's ExtraFiles.
const FD = 3

// Conn is an end of a channel. That it is at its end means that the other side is gone.
type Conn struct{ conn *net.UnixConn }

// New returns our end, and the other one to be inherited by a child.
func New() (Conn, *os.File, error) {
	ours, theirs, err := Pair()
	return Conn{ours}, theirs, err
}

// Open takes fd over.
func Open(fd int) (Conn, error) {
	conn, err := Socket(os.NewFile(uintptr(fd), "channel"))
	return Conn{conn}, err
}

// Pair returns the two ends of a socket that keeps messages apart (SOCK_SEQPACKET), for messages of
// another form: ours, and that of another process.
func Pair() (*net.UnixConn, *os.File, error) { return pairOf(unix.SOCK_SEQPACKET) }

func pairOf(kind int) (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "channel")
	ours, err := Socket(os.NewFile(uintptr(fds[0]), "channel"))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// Socket takes over the other end of a Pair or a Stream.
func Socket(f *os.File) (*net.UnixConn, error) {
	defer f.Close() // FileConn duplicates it
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("open channel: it is no Unix socket")
	}
	return conn, nil
}

// Send sends a message, with files. It waits while the other side has many to read.
func (c Conn) Send(message any, files ...*os.File) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		oob = unix.UnixRights(fds...)
	}
	_, _, err = c.conn.WriteMsgUnix(b, oob, nil)
	return err
}

// SendUntil has Send fail that waits for longer.
func (c Conn) SendUntil(deadline time.Time) error { return c.conn.SetWriteDeadline(deadline) }

const (
	maxMessage = 1 << 17 // bytes
	maxFiles   = 32      // descriptors that a message brings
)

// Receive waits for the next message and returns the files that came along.
func (c Conn) Receive(message any) ([]*os.File, error) {
	b, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.conn.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, err
	}
	files, err := filesIn(oob[:oobn])
	if err == nil {
		err = json.Unmarshal(b[:n], message)
	}
	if err != nil {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, err
	}
	return files, nil
}

func filesIn(oob []byte) ([]*os.File, error) {
	control, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(control) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&control[0])
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "received")
	}
	return files, nil
}

// ReceiveText waits for the next message into b, which bounds it, and takes no files.
func (c Conn) ReceiveText(b []byte, message any) error {
	n, _, flags, _, err := c.conn.ReadMsgUnix(b, nil)
	switch {
	case err != nil:
		return err
	case flags&unix.MSG_TRUNC != 0:
		return errors.New("a message is too long")
	}
	return json.Unmarshal(b[:n], message)
}

// Close ends the channel.
func (c Conn) Close() { _ = c.conn.Close() }

// CloseFiles closes files that have come along with a message, or have been sent.
func CloseFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
