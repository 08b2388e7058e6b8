//go:build linux

package nat

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/quic"

	"syntap/stack/dial"
	"syntap/stack/nat/flows"
	"syntap/tun/tuntest"
)

// initials returns the first two datagrams of a QUIC client, whose ClientHello does not fit one.
func initials(t *testing.T, name string) [][]byte {
	t.Helper()
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	client, err := quic.Listen("udp4", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		config := &tls.Config{ServerName: name, NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}
		_, _ = client.Dial(ctx, "udp4", far.LocalAddr().String(), &quic.Config{TLSConfig: config})
	}()
	defer func() {
		cancel()
		<-ended
		_ = client.Close(ctx)
	}()
	all := [][]byte{make([]byte, 1<<11), make([]byte, 1<<11)}
	for i, b := range all {
		n, err := far.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = b[:n]
	}
	return all
}

// TestQUICFlows: the record of a flow has the ClientHello if the first frame has it whole, and its
// end has it in any case.
func TestQUICFlows(t *testing.T) {
	const name = "www.example.org"
	datagrams := initials(t, name)
	size := len(datagrams[0])
	for _, together := range []bool{false, true} {
		far := tuntest.ListenUDP(t, "127.0.0.1:0")
		log := newTestLog(true)
		router := startRecorded(t, log, Options{}, dial.Policy{})
		client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
		if together {
			payload := slices.Concat(datagrams...)
			router.host.MustSend(t, tuntest.Offloaded(datagram(client, server, payload), uint16(size)))
		} else {
			for _, d := range datagrams {
				router.sendTo(t, client, server, string(d))
			}
		}
		wantNext(t, far, string(datagrams[0]), string(datagrams[1]))
		d := log.await(t, 1)[0]
		if d.QUIC == nil || d.QUIC.Version != "1" || d.Length != size {
			t.Fatalf("opening: %+v", d)
		}
		if whole := d.QUIC.Hello != nil; whole != together {
			t.Errorf("together %t: hello at first: %t", together, whole)
		}
		if n := router.charged.Load(); n != mappingMemory+flows.FlowMemory {
			t.Errorf("%d bytes are charged when the hello is whole", n)
		}
		router.stop()
		f := log.ends(t)[0]
		if f == nil || f.Hello == nil || f.Hello.SNI != name || !slices.Equal(f.Hello.ALPN, []string{"h3"}) {
			t.Errorf("together %t: end %+v", together, f)
		}
	}
}

// TestPartOfAHello: what is known of a ClientHello is charged until the flow ends, or forgotten
// where there is no memory for it.
func TestPartOfAHello(t *testing.T) {
	datagrams := initials(t, "www.example.org")
	for _, scarce := range []bool{false, true} {
		log := newTestLog(true)
		router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, log.options(Options{}))
		log.nat = router.NAT
		const idle = mappingMemory + flows.FlowMemory
		if scarce {
			router.memory = idle
		}
		client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, 443)
		router.route(tuntest.Frame{Data: datagram(client, server, datagrams[0])})
		if charged := router.charged.Load() > idle; charged == scarce {
			t.Errorf("scarce %t: %d bytes are charged", scarce, router.charged.Load())
		}
		other := netip.AddrPortFrom(clientV4, 5354)
		router.route(tuntest.Frame{Data: datagram(other, server, datagrams[0])}) // and no more
		router.route(tuntest.Frame{Data: datagram(client, server, datagrams[1])})
		router.stop() // which looks at the charges
		if f := log.ends(t)[0]; f == nil || f.Hello == nil != scarce {
			t.Errorf("scarce %t: end %+v", scarce, f)
		}
	}
}
