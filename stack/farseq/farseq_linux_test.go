package farseq

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/probe"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { tuntest.Main(m) }

// socket is a client's.
type socket struct {
	net.Conn
	t  *testing.T
	fd int
}

// dial opens a connection through a lab whose router drops long packets on their way back.
func dial(t *testing.T, lab *tuntest.Lab, address string) *socket {
	t.Helper()
	c, err := lab.Client.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := &socket{Conn: c, t: t}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *socket) info() *unix.TCPInfo {
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		s.t.Fatal(err)
	}
	return info
}

// begin writes the first bytes and returns the numbers where both sides begin.
func (s *socket) begin(question string) Origin {
	s.t.Helper()
	if !Loop(s.fd, true) {
		s.t.Fatal("the kernel loops nothing back")
	}
	if _, err := io.WriteString(s, question); err != nil {
		s.t.Fatal(err)
	}
	Loop(s.fd, false)
	local, remote := s.LocalAddr().(*net.TCPAddr).AddrPort(), s.RemoteAddr().(*net.TCPAddr).AddrPort()
	o, ok := Looped(s.fd, local, remote, 0)
	if !ok {
		s.t.Fatal("no packet was looped back")
	}
	return o
}

// ask returns whether the far side says that bytes are missing.
func (s *socket) ask(o Origin, p *probe.Prober) bool {
	s.t.Helper()
	info := s.info()
	at := PlaceOf(info)
	var q Question
	before := info.Segs_in
	q.Ask(s.fd, o, info, Attach)
	tuntest.Wait(s.t, "an answer", func() bool {
		p.Ask(s.fd)
		return q.dropped(s.fd) || s.info().Segs_in > before
	})
	from, missing := q.End(s.fd, s.info())
	if from != at {
		s.t.Errorf("the answer is about %+v, want %+v", from, at)
	}
	return missing
}

// A server that has answered more than comes tells so in its ACKs. One that is slow, and one of
// which all has come, tell that nothing is missing.
func TestMissing(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Drop(100, "forward", "meta length > 1300")
	for _, address := range []string{"203.0.113.2", "2001:db8:2::2"} {
		for name, tt := range map[string]struct {
			greeting, answer int // bytes
			missing          bool
		}{
			"all comes":       {0, 100, false},
			"slow":            {0, 0, false},
			"slow, late":      {3000, 0, false},
			"nothing comes":   {0, 20000, true},
			"part comes":      {100, 20000, true},
			"one long packet": {100, 1400, true},
		} {
			t.Run(fmt.Sprint(address, " ", name), func(t *testing.T) {
				t.Parallel()
				l := lab.Server.Listen("tcp", net.JoinHostPort(address, "0"))
				done := make(chan struct{})
				t.Cleanup(func() { close(done) })
				go func() {
					c, err := l.Accept()
					if err != nil {
						return
					}
					defer c.Close()
					_, _ = io.ReadFull(c, make([]byte, 8))
					for left := tt.greeting; left > 0; left -= 1000 { // in short packets
						_, _ = c.Write(make([]byte, min(left, 1000)))
					}
					_, _ = io.ReadFull(c, make([]byte, 8))
					_, _ = c.Write(make([]byte, tt.answer))
					<-done
				}()
				s := dial(t, lab, l.Addr().String())
				origin := s.begin("question")
				if _, err := io.ReadFull(s, make([]byte, tt.greeting)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(s, "question"); err != nil {
					t.Fatal(err)
				}
				if !tt.missing {
					if _, err := io.ReadFull(s, make([]byte, tt.answer)); err != nil {
						t.Fatal(err)
					}
				}
				tuntest.Wait(t, "the question to arrive", func() bool { return s.info().Bytes_acked == 17 })
				var p probe.Prober
				defer p.End()
				if !tt.missing {
					if s.ask(origin, &p) {
						t.Error("bytes are missing")
					}
					return
				}
				tuntest.Wait(t, "word of missing bytes", func() bool { return s.ask(origin, &p) })
			})
		}
	}
}
