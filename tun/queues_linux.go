package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Open makes a TUN interface, as Create does, and opens it.
func Open(name string, mtu, queues int) (*Device, error) {
	files, err := Create(name, mtu, queues)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	return FromFiles(files, mtu)
}

// Create makes a TUN interface with an MTU in bytes and 1 to MaxQueues queues, and returns the
// descriptor of each queue. No other user without CAP_NET_ADMIN can open more queues. The interface
// lives as long as one of them. It needs CAP_NET_ADMIN in the network namespace. The error wraps
// os.ErrExist when an interface of that name exists, os.ErrPermission when the privilege is missing
// and os.ErrNotExist when there is no /dev/net/tun.
func Create(name string, mtu, queues int) ([]*os.File, error) {
	if _, err := net.InterfaceByName(name); err == nil {
		return nil, createError(name, os.ErrExist)
	}
	if _, err := os.Stat(devicePath); err != nil {
		return nil, createError(name, err)
	}
	kind := uint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if queues > 1 {
		kind |= unix.IFF_MULTI_QUEUE
	}
	var files []*os.File
	for i := range queues {
		flags := kind
		if i == 0 {
			flags |= unix.IFF_TUN_EXCL // one that is there would be another program's
		}
		f, err := openQueue(name, flags)
		if err == nil {
			files = append(files, f)
		}
		if err == nil && i == 0 {
			err = errors.Join(own(f, name), setMTU(name, mtu))
		}
		if err != nil {
			closeAll(files)
			return nil, createError(name, err)
		}
	}
	return files, nil
}

func createError(name string, err error) error {
	if errors.Is(err, unix.EBUSY) {
		err = os.ErrExist
	}
	return fmt.Errorf("create TUN interface %s: %w", name, err)
}

// openQueue opens a queue of an interface, the first of which makes it.
func openQueue(name string, flags uint16) (*os.File, error) {
	fd, err := unix.Open(devicePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: devicePath, Err: err}
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), devicePath), nil
}

// errTaken is the error of an interface of which another process has opened a queue before it had
// an owner.
var errTaken = errors.New("another process has opened a queue of it")

// own has an interface belong to the user of this process. One that belongs to no user lets all
// open queues of it, if it has several: the first has to be the only one.
func own(queue *os.File, name string) error {
	if err := unix.IoctlSetInt(int(queue.Fd()), unix.TUNSETOWNER, os.Geteuid()); err != nil {
		return err
	}
	n, err := countQueues(name)
	if err == nil && n > 1 {
		err = errTaken
	}
	return err
}

// countQueues returns how many queues an interface has that may have several, also those that are
// detached (rtnetlink(7), linux/if_link.h).
func countQueues(name string) (n uint32, err error) {
	const tunQueues, tunDisabledQueues = 8, 9 // IFLA_TUN_NUM_QUEUES, IFLA_TUN_NUM_DISABLED_QUEUES
	rib, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		link := m.Data[unix.SizeofIfInfomsg:]
		if string(attribute(link, unix.IFLA_IFNAME)) != name+"\x00" {
			continue
		}
		data := attribute(attribute(link, unix.IFLA_LINKINFO), unix.IFLA_INFO_DATA)
		for _, kind := range []uint16{tunQueues, tunDisabledQueues} {
			if value := attribute(data, kind); len(value) == 4 {
				n += binary.NativeEndian.Uint32(value)
			}
		}
	}
	return n, nil
}

// attribute returns the value of an attribute of netlink among others; nil where there is none.
func attribute(all []byte, kind uint16) []byte {
	for len(all) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(all))
		if n < unix.SizeofRtAttr || n > len(all) {
			return nil
		}
		if binary.NativeEndian.Uint16(all[2:])&^unix.NLA_F_NESTED == kind {
			return all[unix.SizeofRtAttr:n]
		}
		all = all[min((n+3)&^3, len(all)):]
	}
	return nil
}

func setMTU(name string, mtu int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint32(uint32(mtu))
	return unix.IoctlIfreq(fd, unix.SIOCSIFMTU, ifr)
}

const devicePath = "/dev/net/tun"

// FromFiles opens a TUN interface by the descriptors of its queues; it may live in another network
// namespace. The interface must be configured already; mtu is its MTU in bytes. The files stay the
// caller's and may be closed. [Device.Queues] returns the queues.
func FromFiles(files []*os.File, mtu int) (*Device, error) {
	first, err := fromFile(files[0], mtu)
	if err != nil {
		return nil, err
	}
	for _, f := range files[1:] {
		d, err := fromFile(f, mtu)
		if err != nil {
			return nil, errors.Join(err, first.Close())
		}
		first.others = append(first.others, d)
	}
	return first, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// Queues implements MultiQueue.
func (d *Device) Queues() []Link {
	all := []Link{d}
	for _, o := range d.others {
		all = append(all, o)
	}
	return all
}

var _ MultiQueue = (*Device)(nil)
