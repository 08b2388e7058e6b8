//go:build linux

package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// The far side of a download learns that the client has reset, whichever direction notices first.
func TestClientResetsDownload(t *testing.T) {
	for _, tt := range []struct {
		name         string
		reading, fin bool // the client reads on until it resets; it has sent FIN before
		want         tunflow.End
	}{
		{"reading", true, false, tunflow.ClientRST},
		{"not reading", false, false, tunflow.ClientRST},
		{"reading, after its FIN", true, true, tunflow.ClientFIN},
		{"not reading, after its FIN", false, true, tunflow.ClientFIN},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failed := make(chan error)
			port := serve(t, "tcp4", func(c *net.TCPConn) {
				data := randomBytes(64 << 10)
				for {
					if _, err := c.Write(data); err != nil {
						failed <- err
						return
					}
				}
			})
			ended := make(chan tunflow.Flow, 1)
			router := startRouter(t, Options{FlowDone: func(f tunflow.Flow) { ended <- f }}, dial.Policy{})
			client := newClient(t, router)
			for range 20 {
				c := client.dial(t, serverV4, port)
				if tt.fin {
					_ = c.CloseWrite()
				}
				if _, err := io.CopyN(io.Discard, c, 2<<20); err != nil {
					t.Fatal(err)
				}
				if tt.reading {
					go func() { _, _ = io.Copy(io.Discard, c) }()
				}
				client.reset()
				err := within(t, failed)
				if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
					t.Errorf("the far side's write ends with %v, want a reset", err)
				}
				if f := within(t, ended); f.End != tt.want {
					t.Errorf("the connection ended by %v, want %v", f.End, tt.want)
				}
			}
		})
	}
}

// A client that has sent its FIN resets while the far side has nothing to send.
func TestClientResetsAfterItsFIN(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		finished, stop := make(chan struct{}), make(chan struct{})
		port := serve(t, network, func(c *net.TCPConn) {
			_, _ = io.Copy(io.Discard, c)
			close(finished)
			<-stop
		})
		defer close(stop)
		ended := make(chan tunflow.Flow, 1)
		done := func(f tunflow.Flow) { ended <- f }
		client := newClient(t, startRouter(t, Options{FlowDone: done}, dial.Policy{}))
		_ = client.dial(t, server, port).CloseWrite()
		<-finished
		client.reset()
		if f := within(t, ended); f.End != tunflow.ClientFIN {
			t.Errorf("the connection ended by %v, want %v", f.End, tunflow.ClientFIN)
		}
	})
}

// A far side that has sent its FIN resets: the client learns of it, whether or not it has bytes on
// their way.
func TestServerResetsAfterItsFIN(t *testing.T) {
	for _, uploading := range []bool{false, true} {
		t.Run(map[bool]string{false: "nothing to write", true: "during an upload"}[uploading], func(t *testing.T) {
			families(t, func(t *testing.T, network string, server netip.Addr) {
				reset := make(chan struct{})
				port := serve(t, network, func(c *net.TCPConn) {
					_ = c.CloseWrite()
					if uploading {
						_, _ = io.CopyN(io.Discard, c, 1<<20)
					}
					<-reset
					_ = c.SetLinger(0)
				})
				ended := make(chan tunflow.Flow, 1)
				router := startRouter(t, Options{FlowDone: func(f tunflow.Flow) { ended <- f }}, dial.Policy{})
				client := newClient(t, router)
				c := client.dial(t, server, port)
				if b, err := io.ReadAll(c); err != nil || len(b) != 0 {
					t.Fatalf("read: %d bytes, %v; want end of file", len(b), err)
				}
				if uploading {
					written := make(chan error, 1)
					go func() {
						_, err := c.Write(make([]byte, 64<<20))
						written <- err
					}()
					close(reset)
					if err := within(t, written); err == nil {
						t.Error("all was written")
					}
				} else {
					close(reset)
				}
				if f := within(t, ended); f.End != tunflow.ServerFIN {
					t.Errorf("the connection ended by %v, want %v", f.End, tunflow.ServerFIN)
				}
				tuntest.Wait(t, "the client's connection is over", func() bool {
					return len(client.net.RegisteredEndpoints()) == 0
				})
			})
		})
	}
}
