package nft

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages and attributes of linux/netfilter/nfnetlink_conntrack.h.
const (
	conntrackGet = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET

	tupleOriginal, tupleIP, tupleProto                 = 1, 1, 2 // CTA_TUPLE_ORIG, CTA_TUPLE_IP, CTA_TUPLE_PROTO
	ipv4Source, ipv4Destination                        = 1, 2    // CTA_IP_V4_SRC, CTA_IP_V4_DST
	ipv6Source, ipv6Destination                        = 3, 4
	protoNumber, protoSourcePort, protoDestinationPort = 1, 2, 3 // CTA_PROTO_NUM, …
)

// entryPatience bounds the wait for the kernel's answer.
const entryPatience = time.Second

// HasEntry returns nil if connection tracking has an entry for datagrams between two addresses of
// one family, in the calling thread's network namespace. The error wraps [unix.ENOENT] if it has
// none.
func HasEntry(from, to netip.AddrPort) error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	family, src, dst := uint8(unix.AF_INET), uint16(ipv4Source), uint16(ipv4Destination)
	if from.Addr().Is6() {
		family, src, dst = unix.AF_INET6, ipv6Source, ipv6Destination
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.ByteOrder = binary.BigEndian
	attributes.Nested(tupleOriginal, func(tuple *netlink.AttributeEncoder) error {
		tuple.Nested(tupleIP, func(ip *netlink.AttributeEncoder) error {
			ip.Bytes(src, from.Addr().AsSlice())
			ip.Bytes(dst, to.Addr().AsSlice())
			return nil
		})
		tuple.Nested(tupleProto, func(proto *netlink.AttributeEncoder) error {
			proto.Uint8(protoNumber, unix.IPPROTO_UDP)
			proto.Uint16(protoSourcePort, from.Port())
			proto.Uint16(protoDestinationPort, to.Port())
			return nil
		})
		return nil
	})
	b, err := attributes.Encode()
	if err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(entryPatience)); err != nil {
		return err
	}
	nfgenmsg := []byte{family, unix.NFNETLINK_V0, 0, 0}
	// The kernel marks the entry as one of several messages: the acknowledgement is the last.
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: conntrackGet, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(nfgenmsg, b...),
	})
	return err
}
