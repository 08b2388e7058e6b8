package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Server answers queries by UDP and TCP on a port of this host's loopback address.
type Server struct {
	r    *Resolver
	udp  *net.UDPConn
	tcp  *net.TCPListener
	busy chan struct{} // has an element for each query by UDP that is being answered

	mu    sync.Mutex // guards conns
	conns map[*net.TCPConn]struct{}
}

// Bounds of a Server. Queries and connections beyond them are dropped, as by a nameserver under
// load: clients ask again.
const (
	maxBusy  = 1024
	maxConns = 128
	idleTime = 10 * time.Second // of a connection (RFC 7766 §6.2.3)
)

// Listen opens the sockets of a server, at the same port.
func Listen() (udp *net.UDPConn, tcp *net.TCPListener, err error) {
	loopback := net.IPv4(127, 0, 0, 1)
	for range 16 { // until the port is free for both
		if udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: loopback}); err != nil {
			break
		}
		tcp, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: loopback, Port: udp.LocalAddr().(*net.UDPAddr).Port})
		if err == nil {
			return udp, tcp, nil
		}
		_ = udp.Close()
	}
	return nil, nil, fmt.Errorf("listen for DNS queries: %w", err)
}

// NewServer returns a server for queries to r, which takes its sockets over.
func NewServer(r *Resolver, udp *net.UDPConn, tcp *net.TCPListener) *Server {
	return &Server{
		r: r, udp: udp, tcp: tcp, busy: make(chan struct{}, maxBusy), conns: make(map[*net.TCPConn]struct{}),
	}
}

// Addr returns the address that it listens on.
func (s *Server) Addr() netip.AddrPort { return s.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// Run serves until ctx ends. It closes the sockets and waits until nothing is being answered.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, s.close)()
	all.Go(func() { s.serveTCP(ctx, &all) })
	s.serveUDP(ctx, &all)
	s.close()
}

func (s *Server) close() {
	_ = s.udp.Close()
	_ = s.tcp.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) serveUDP(ctx context.Context, all *sync.WaitGroup) {
	b := make([]byte, maxMessage)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		select {
		case s.busy <- struct{}{}:
		default:
			continue
		}
		message := append([]byte(nil), b[:n]...)
		all.Go(func() {
			defer func() { <-s.busy }()
			if reply := s.r.Answer(ctx, message, false); reply != nil {
				_, _ = s.udp.WriteToUDPAddrPort(reply, from) // an error: the client asks again
			}
		})
	}
}

func (s *Server) serveTCP(ctx context.Context, all *sync.WaitGroup) {
	for {
		c, err := s.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select { // out of descriptors, for instance
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		if !s.enter(ctx, c) {
			_ = c.Close()
			continue
		}
		all.Go(func() {
			s.serveConn(ctx, c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			_ = c.Close()
		})
	}
}

func (s *Server) enter(ctx context.Context, c *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxConns || ctx.Err() != nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) serveConn(ctx context.Context, c *net.TCPConn) {
	for {
		_ = c.SetDeadline(time.Now().Add(idleTime)) // an error: so has the read
		message, err := readTCP(c)
		if err != nil {
			return
		}
		reply := s.r.Answer(ctx, message, true)
		if reply == nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(idleTime))
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
