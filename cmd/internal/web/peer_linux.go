package web

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// peerUser names the user at the other end of a Unix socket.
func peerUser(conn *net.UnixConn) string {
	uid, err := peerUID(conn)
	if err != nil {
		return ""
	}
	return "user " + strconv.FormatUint(uint64(uid), 10)
}

// peerUID returns the user who has connected, or has begun to listen, at the other end of a Unix
// socket (SO_PEERCRED).
func peerUID(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = cred.Uid
		}
	})
	if err := errors.Join(err, controlErr); err != nil {
		return 0, fmt.Errorf("read the other end's user: %w", err)
	}
	return uid, nil
}

// ownsDirectory reports whether the directory of a file is a user's, and no other may write there
// but root.
func ownsDirectory(uid uint32, path string) bool {
	var dir unix.Stat_t
	err := unix.Lstat(filepath.Dir(path), &dir)
	return err == nil && dir.Uid == uid && dir.Mode&0o022 == 0
}
