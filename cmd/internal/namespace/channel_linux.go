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

// A setup is the first message to init, which passes it on to the door: how to furnish the
// namespaces.
type setup struct {
	TUN         string
	MTU         int
	Queues      int
	Addresses   []netip.Prefix
	Routes      []netip.Prefix // into the TUN
	ResolvConf  string         // to be seen as such; "" = the host's
	LocalDNS    bool           // DNS of 127.0.0.1 goes into the TUN too
	Hide        []string       // paths, without symbolic links
	OwnGroup    bool           // init is to lead a process group
	UserNS      bool           // init has a user namespace of its own
	AllowSetuid bool
}

// An order is a later message to init.
type order struct {
	Start      bool           // run the command
	ResolvConf *string        // or show it another /etc/resolv.conf
	Signal     syscall.Signal // or pass this on to it
}

// A report is a message of init, or of the door.
type report struct {
	Ready   bool // the namespaces are furnished; the queues of the TUN come with it, and an owner.Network
	Device  int  // index of the TUN's interface, where the Network came
	Stopped bool // the command was stopped by a signal

	// The command has ended with this status, and nothing else runs in the PID namespace. The
	// others stay until the channel is closed.
	Ended  bool
	Status int

	// Or the step that failed, and the reason.
	Failed    string
	Errno     syscall.Errno
	Namespace bool // it was a namespace that could not be made
}

// channel carries messages between a session and its init, and between init and the door: each a
// packet of JSON, with descriptors. Its end means that the other side is gone.
type channel struct{ conn *net.UnixConn }

// newChannel returns our end, and the other one to be inherited by a child.
func newChannel() (channel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return channel{}, nil, fmt.Errorf("create socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "channel")
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

func (c channel) send(message any, files ...*os.File) error {
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

// maxFiles is how many descriptors a message brings at most.
const maxFiles = 16

// receive waits for the next message and returns the files that came along.
func (c channel) receive(message any) ([]*os.File, error) {
	b, oob := make([]byte, 1<<17), make([]byte, unix.CmsgSpace(4*maxFiles))
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
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "received")
	}
	return files, nil
}

func (c channel) close() { _ = c.conn.Close() }
