package e2e_test

import (
	"context"
	endian "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// witness answers TCP, UDP and pings that reach a machine: with its name, and the address that they
// come from.
type witness struct {
	name  string
	mu    sync.Mutex
	pings map[string]string // addresses, by payload
}

// witnessPort is that of witnesses, for TCP and UDP.
const witnessPort = "7000"

// bearWitness starts a witness on a machine. Its UDP server is bound to the addresses named, or to
// the wildcard address if there are none.
func bearWitness(ns *tuntest.Namespace, name string, addresses ...string) *witness {
	w := &witness{name: name, pings: make(map[string]string)}
	go serveAll(ns.Listen("tcp", ":"+witnessPort), w.greet)
	if len(addresses) == 0 {
		addresses = []string{""}
	}
	for _, a := range addresses {
		go w.datagrams(ns.ListenPacket("udp", net.JoinHostPort(a, witnessPort)))
	}
	go w.echoes(ns.ListenPacket("ip4:icmp", "0.0.0.0"), 1)
	go w.echoes(ns.ListenPacket("ip6:ipv6-icmp", "::"), 58)
	return w
}

func (w *witness) says(seen net.Addr) string {
	host, _, err := net.SplitHostPort(seen.String())
	if err != nil {
		host = seen.String()
	}
	return w.name + " sees " + netip.MustParseAddr(host).Unmap().String()
}

func (w *witness) greet(conn *net.TCPConn) {
	fmt.Fprintln(conn, w.says(conn.RemoteAddr()))
	_, _ = conn.Read(make([]byte, 1))
}

func (w *witness) datagrams(c net.PacketConn) {
	b := make([]byte, 100)
	for {
		_, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(w.says(from)), from)
	}
}

// echoes notes who pings. The kernel answers.
func (w *witness) echoes(c net.PacketConn, proto int) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		m, err := icmp.ParseMessage(proto, b[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEcho && m.Type != ipv6.ICMPTypeEchoRequest {
			continue
		}
		w.mu.Lock()
		w.pings[string(m.Body.(*icmp.Echo).Data)] = w.says(from)
		w.mu.Unlock()
	}
}

func (w *witness) pinged(payload string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pings[payload]
}

// call is one exchange of a client with whichever witness it reaches.
type call struct {
	ns        *tuntest.Namespace
	proto     string // tcp, udp or ping
	to        string // address
	port      string // of TCP and UDP; "" = witnessPort
	from      string // address that the client is bound to; "" = none
	source    int    // port that the client is bound to; 0 = none
	mark      int    // of the client's socket
	device    string // that the client's socket is bound to
	witnesses []*witness
	patience  time.Duration // 0 = tuntest.Patience
}

// answer is the end of a call.
type answer struct {
	says string // the witness, or how the call failed
	port int    // of the client; 0 of pings
}

// make makes the call.
func (c call) make() answer {
	if c.patience == 0 {
		c.patience = tuntest.Patience
	}
	if c.port == "" {
		c.port = witnessPort
	}
	var a answer
	var err error
	if c.proto == "ping" {
		a.says, err = c.ping()
	} else {
		a, err = c.ask()
	}
	var timeout net.Error
	switch {
	case err == nil:
	case errors.As(err, &timeout) && timeout.Timeout():
		a.says = "no answer"
	case errors.Is(err, unix.ECONNREFUSED):
		a.says = "refused"
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		a.says = "unreachable"
	default:
		a.says = err.Error()
	}
	return a
}

func (c call) dial(network, address string) (conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: c.patience, Control: c.control}
	if c.from != "" || c.source != 0 {
		switch from := net.ParseIP(c.from); network {
		case "tcp":
			dialer.LocalAddr = &net.TCPAddr{IP: from, Port: c.source}
		case "udp":
			dialer.LocalAddr = &net.UDPAddr{IP: from, Port: c.source}
		default:
			dialer.LocalAddr = &net.IPAddr{IP: from}
		}
	}
	if err := c.ns.Do(func() (err error) {
		conn, err = dialer.DialContext(context.Background(), network, address)
		return err
	}); err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(c.patience))
}

func (c call) control(_, _ string, raw syscall.RawConn) (err error) {
	controlErr := raw.Control(func(fd uintptr) {
		if c.mark != 0 {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, c.mark)
		}
		if c.device != "" && err == nil {
			err = unix.BindToDevice(int(fd), c.device)
		}
	})
	return errors.Join(err, controlErr)
}

func (c call) ask() (a answer, err error) {
	conn, err := c.dial(c.proto, net.JoinHostPort(c.to, c.port))
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	a.port = int(netip.MustParseAddrPort(conn.LocalAddr().String()).Port())
	if c.proto == "udp" {
		if _, err := conn.Write([]byte("who?")); err != nil {
			return a, err
		}
	}
	b := make([]byte, 100)
	n, err := conn.Read(b)
	a.says = strings.TrimSpace(string(b[:n]))
	return a, err
}

// echoID tells pings of one process apart.
var echoID atomic.Uint32

func (c call) ping() (string, error) {
	request, reply, proto, network := icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply), 1, "ip4:icmp"
	if strings.Contains(c.to, ":") {
		request, reply, proto, network = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58, "ip6:ipv6-icmp"
	}
	conn, err := c.dial(network, c.to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	echo := &icmp.Echo{ID: int(echoID.Add(1)), Seq: 1}
	echo.Data = endian.BigEndian.AppendUint64(endian.BigEndian.AppendUint32(nil, uint32(echo.ID)), uint64(time.Now().UnixNano()))
	b, err := (&icmp.Message{Type: request, Body: echo}).Marshal(nil)
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(b); err != nil {
		return "", err
	}
	in := make([]byte, 1500)
	for {
		n, _, err := conn.(*net.IPConn).ReadFrom(in)
		if err != nil {
			return "", err
		}
		m, err := icmp.ParseMessage(proto, in[:n])
		if err != nil || m.Type != reply {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); !ok || string(e.Data) != string(echo.Data) {
			continue
		}
		return c.whoSaw(string(echo.Data)), nil
	}
}

// whoSaw returns the witness's word on where a ping has arrived. The kernel may have answered
// before the witness has seen it.
func (c call) whoSaw(payload string) string {
	for deadline := time.Now().Add(c.patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, w := range c.witnesses {
			if says := w.pinged(payload); says != "" {
				return says
			}
		}
	}
	return "answered unseen"
}

// calls makes all calls at once.
func calls[K comparable](all map[K]call) map[K]answer {
	answers := make(map[K]answer, len(all))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for k, c := range all {
		wg.Go(func() {
			a := c.make()
			mu.Lock()
			defer mu.Unlock()
			answers[k] = a
		})
	}
	wg.Wait()
	return answers
}
