package namespace

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A setup is the first message to init: how to furnish the namespaces.
type setup struct {
	TUN        string
	MTU        int
	Addresses  []netip.Prefix
	ResolvConf string // to be seen at /etc/resolv.conf; "" leaves the host's
	OwnGroup   bool   // init is to lead a process group
}

// An order is what init is told afterwards.
type order struct {
	Start  bool           // run the command
	Signal syscall.Signal // or pass this on to it
}

// A report is what init has to say.
type report struct {
	Ready   bool // the namespaces are furnished; the TUN comes with it
	Stopped bool // the command was stopped by a signal

	// Or what failed, for which reason.
	Failed string
	Errno  syscall.Errno
}

// channel carries messages between a session and its init, each a packet of JSON, a report with the TUN's descriptor.
// Its end means that the other side is gone.
type channel struct{ conn *net.UnixConn }

// newChannel returns our end, and the other one to be inherited by init.
func newChannel() (channel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return channel{}, nil, fmt.Errorf("create socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "init")
	c, err := openChannel(fds[0])
	if err != nil {
		_ = theirs.Close()
		return channel{}, nil, err
	}
	return c, theirs, nil
}

// openChannel takes fd over.
func openChannel(fd int) (channel, error) {
	f := os.NewFile(uintptr(fd), "channel")
	defer f.Close() // FileConn duplicates it
	conn, err := net.FileConn(f)
	if err != nil {
		return channel{}, fmt.Errorf("open channel: %w", err)
	}
	return channel{conn.(*net.UnixConn)}, nil
}

func (c channel) send(message any, fds ...int) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	_, _, err = c.conn.WriteMsgUnix(b, oob, nil)
	return err
}

// receive waits for the next message. The file is nil if none came along.
func (c channel) receive(message any) (*os.File, error) {
	b, oob := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.conn.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b[:n], message); err != nil {
		return nil, err
	}
	control, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(control) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&control[0])
	if err != nil || len(fds) == 0 {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "tun"), nil
}

func (c channel) close() { _ = c.conn.Close() }
