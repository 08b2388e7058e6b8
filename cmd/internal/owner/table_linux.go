package owner

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
)

// maxTable bounds what is read of a table of sockets: some 2,000.
const maxTable = 256 << 10

var errLong = errors.New("the table of sockets is too long")

// readTable calls f with the sockets in a table of ping or raw sockets, whose ports are identifiers
// or protocols.
func readTable(file *os.File, buf []byte, f func(*bound)) ([]byte, error) {
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= maxTable {
				return buf, errLong
			}
			buf = append(buf, make([]byte, max(4096, len(buf)))...)[:len(buf)]
		}
		n, err := file.ReadAt(buf[len(buf):cap(buf)], int64(len(buf)))
		buf = buf[:len(buf)+n]
		if err == io.EOF || err == nil && n == 0 {
			break
		}
		if err != nil {
			return buf, fmt.Errorf("read table of sockets: %w", err)
		}
	}
	for line := range bytes.Lines(buf) {
		if s, ok := parseRow(line); ok {
			f(&s)
		}
	}
	return buf, nil
}

// parseRow reads a row of a table (proc_net(5)).
func parseRow(line []byte) (s bound, ok bool) {
	words := bytes.Fields(line)
	if len(words) < 10 {
		return s, false
	}
	local, ok1 := parseAddrPort(words[1])
	remote, ok2 := parseAddrPort(words[2])
	uid, err1 := strconv.ParseUint(string(words[7]), 10, 32)
	inode, err2 := strconv.ParseUint(string(words[9]), 10, 32)
	if !ok1 || !ok2 || err1 != nil || err2 != nil {
		return s, false
	}
	s = bound{local: local, only6: local.Addr().Is6(), uid: uint32(uid), inode: uint32(inode)}
	if !remote.Addr().IsUnspecified() {
		s.remote = netip.AddrPortFrom(remote.Addr(), 0) // its port says nothing
	}
	return s, true
}

// parseAddrPort reads an address in words of the host's byte order, and a port: 0100007F:0035.
func parseAddrPort(text []byte) (a netip.AddrPort, ok bool) {
	address, port, ok := bytes.Cut(text, []byte(":"))
	number, err := strconv.ParseUint(string(port), 16, 16)
	if !ok || err != nil || len(address) != 8 && len(address) != 32 {
		return a, false
	}
	b := make([]byte, len(address)/2)
	if _, err := hex.Decode(b, address); err != nil {
		return a, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(number)), true
}
