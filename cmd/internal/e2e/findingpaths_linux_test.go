package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestFindingChange has the way up become narrow beneath an upload whose first half was sent in
// full segments: over IPv4 it goes on, over IPv6 it is reset and the next one runs.
func TestFindingChange(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	if !soak() {
		t.Skip("takes the time of a measurement")
	}
	for i, address := range addresses() {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			c := newMTUChain(t, 0, 0)
			c.silence()
			lab := &tuntest.Lab{Client: c.client(), Server: c.server()}
			var came atomic.Int64
			serveHTTP(t, lab, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for b := make([]byte, 64<<10); r.Method == http.MethodPut; {
					n, err := r.Body.Read(b)
					if came.Add(int64(n)); err != nil {
						break
					}
				}
				_, _ = w.Write(make([]byte, transferSize))
			}))
			r := run(t, lab.Client, "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
			conn, err := lab.Client.Dial(t.Context(), "tcp", net.JoinHostPort(address, "80"))
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(tuntest.Patience)))
			fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: %d\r\n\r\n", 2*transferSize)
			_, err = conn.Write(make([]byte, transferSize))
			must(t, err)
			r.wait(t, "the first half", func() bool { return came.Load() == transferSize })
			c.middle().Run("ip", "route", "change", "203.0.113.2/32", "via", "198.51.100.10", "mtu", "lock", "1400")
			c.middle().Run("ip", "-6", "route", "change", "2001:db8:3::2/128", "via", "2001:db8:102::2", "mtu", "lock", "1400")
			_, err = conn.Write(make([]byte, transferSize))
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			if is6 := i == 1; (err != nil) != is6 || !is6 && came.Load() != 2*transferSize {
				t.Errorf("the upload that was stuck: %d bytes came, %v", came.Load(), err)
			}
			file := filepath.Join(t.TempDir(), "upload")
			must(t, os.WriteFile(file, make([]byte, transferSize), 0o600))
			if status, _ := curlTransfer(t, lab.Client, int(tuntest.Patience.Seconds()), urls()[i], file); status != 0 {
				t.Errorf("the next upload: exit status %d", status)
			}
			r.stop(t, unix.SIGTERM)
			all := r.findings(t)
			if len(all) != 1 {
				t.Fatalf("findings %+v, want one", all)
			}
			if all[0].Direction != "up" {
				t.Errorf("finding %+v", all[0])
			}
			all[0].check(t, address, 40+20*i, true)
		})
	}
}

// TestFindingECMP has one of two paths to a server be narrow: uploads of which some hang and others
// run make no finding, and the router's log says why.
func TestFindingECMP(t *testing.T) {
	t.Parallel()
	requireTools(t, "ip", "nft")
	if !soak() {
		t.Skip("takes the time of four retransmissions")
	}
	c := newMTUChain(t, 0, 0)
	c.fork(1400)
	c.silence()
	go serveAll(c.server().Listen("tcp", "203.0.113.2:7000"), func(conn *net.TCPConn) {
		_, _ = io.CopyN(conn, conn, int64(len("short")))
		_, _ = io.Copy(io.Discard, conn)
	})
	r := run(t, c.client(), "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
	var uploads sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer uploads.Wait()
	defer stop()
	for range 16 {
		conn, err := c.client().Dial(t.Context(), "tcp", "203.0.113.2:7000")
		must(t, err)
		uploads.Go(func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
			_, _ = conn.Write([]byte("short"))
			_, _ = io.ReadFull(conn, make([]byte, len("short")))
			_, _ = conn.Write(make([]byte, transferSize))
			<-ctx.Done()
		})
	}
	r.wait(t, "the reason in the log", func() bool {
		return strings.Contains(r.Stderr(), "one of several paths (ECMP) is too narrow")
	})
	stop()
	r.stop(t, unix.SIGTERM)
	if all := r.findings(t); len(all) != 0 {
		t.Errorf("findings %+v, want none", all)
	}
}

// TestFindingNarrow has an IPv4 path of 1000 bytes, to a port where nothing is measured: the clamp
// of the first finding, for 1280 bytes, is too large, and connections that keep to it show that.
func TestFindingNarrow(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	if !soak() {
		t.Skip("takes the time of many retransmissions")
	}
	for _, upload := range []bool{true, false} {
		t.Run(fmt.Sprintf("upload %t", upload), func(t *testing.T) {
			t.Parallel()
			c := newMTUChain(t, 1000, 1000)
			c.silence()
			server := &http.Server{ReadHeaderTimeout: tuntest.Patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Method != http.MethodPut {
					_, _ = w.Write(make([]byte, transferSize))
				}
			})}
			go func() { _ = server.Serve(c.server().Listen("tcp", "203.0.113.2:5432")) }()
			defer server.Close()
			r := run(t, c.client(), "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
			file := ""
			if upload {
				file = filepath.Join(t.TempDir(), "upload")
				must(t, os.WriteFile(file, make([]byte, transferSize), 0o600))
			}
			var got []int
			for range 3 {
				status, _ := curlTransfer(t, c.client(), int(tuntest.Patience.Seconds()), "http://203.0.113.2:5432", file)
				got = append(got, status)
			}
			r.stop(t, unix.SIGTERM)
			all := r.findings(t)
			if got[2] != 0 || len(all) != 2 || all[0].Clamp != 1240 || all[1].Clamp != 536 {
				t.Errorf("exit statuses %d, findings %+v, want the clamps 1240 and 536, and the last transfer to run", got, all)
			}
			reportf(t, "exit statuses %d", got)
		})
	}
}
