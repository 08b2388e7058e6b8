package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestTransparentProxy has a proxy on the host take connections of its LAN (TPROXY): the LAN
// reaches the proxy as without the router, and the proxy the world through it.
func TestTransparentProxy(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	proxy := &witness{name: "proxy"}
	for _, address := range []string{"127.0.0.1:7777", "[::1]:7777"} {
		go serveAll(transparent(t, h, address), proxy.greet)
	}
	h.Router.Run("nft", `
		table inet proxied { chain prerouting { type filter hook prerouting priority -150;
			iifname "lan0" ip daddr `+h.far4+` tcp dport `+witnessPort+` tproxy ip to 127.0.0.1:7777 meta mark set 1 accept
			iifname "lan0" ip6 daddr `+h.far6+` tcp dport `+witnessPort+` tproxy ip6 to [::1]:7777 meta mark set 1 accept
		}
		}`)
	for _, f := range []string{"-4", "-6"} {
		h.Router.Run("ip", f, "rule", "add", "pref", "20000", "fwmark", "1", "lookup", "100")
		h.Router.Run("ip", f, "route", "add", "local", "default", "dev", "lo", "table", "100")
	}
	try := func(when string) {
		t.Helper()
		for _, to := range []string{h.far4, h.far6} {
			for caller, want := range map[*call]string{
				{ns: h.Client, proto: "tcp", to: to}: "proxy",
				{ns: h.Router, proto: "tcp", to: to}: "world",
			} {
				if says := caller.make().says; !strings.HasPrefix(says, want) {
					t.Errorf("%s: %s is reached as %q, want %s", when, to, says, want)
				}
			}
		}
	}
	try("without the router")
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	try("with the router")
	r.waitRecords(t, 2)
	r.stop(t, unix.SIGTERM)
}

// transparent listens on the host for connections to any address.
func transparent(t *testing.T, h *hostLab, address string) (l net.Listener) {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		level, name := unix.SOL_IP, unix.IP_TRANSPARENT
		if strings.HasPrefix(address, "[") {
			level, name = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
		}
		if controlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), level, name, 1)
		}); controlErr != nil {
			return controlErr
		}
		return err
	}}
	if err := h.Router.Do(func() (err error) {
		l, err = config.Listen(context.Background(), "tcp", address)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestRedirectingProxy has a proxy on the host take the connections of its programs (REDIRECT), but
// those that it marks itself. Each goes through the proxy once, and through the router once.
func TestRedirectingProxy(t *testing.T) {
	t.Parallel()
	const mark = 0x77
	h := newHostLab(t)
	proxy := h.Router.Listen("tcp4", "0.0.0.0:12345")
	var taken atomic.Int64
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			go func() {
				defer conn.Close()
				c := call{ns: h.Router, proto: "tcp", to: h.far4, mark: mark, patience: tuntest.Patience}
				upstream, err := c.dial("tcp", net.JoinHostPort(h.far4, witnessPort))
				if err != nil {
					return
				}
				defer upstream.Close()
				go func() { _, _ = io.Copy(upstream, conn) }()
				_, _ = io.Copy(conn, upstream)
			}()
		}
	}()
	h.Router.Run("nft", `
		table ip proxied { chain output { type nat hook output priority -100;
			meta mark `+fmt.Sprint(mark)+` accept
			ip daddr `+h.far4+` tcp dport `+witnessPort+` redirect to :12345
		}
		}`)
	try := func(when string, want int64) {
		t.Helper()
		c := call{ns: h.Router, proto: "tcp", to: h.far4}
		if says := c.make().says; !strings.HasPrefix(says, "world") || taken.Load() != want {
			t.Errorf("%s: %q, by %d connections of the proxy, want %d", when, says, taken.Load(), want)
		}
	}
	try("without the router", 1)
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	try("with the router", 2)
	if n := len(r.waitRecords(t, 1)); n != 1 {
		t.Errorf("%d records, want that of the proxy's connection", n)
	}
	r.stop(t, unix.SIGTERM)
}
