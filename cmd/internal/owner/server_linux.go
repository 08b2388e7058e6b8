package owner

import (
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Server searches for a Remote, which may not look at other users' processes. It believes nothing
// that the Remote says but which sockets are asked for.
type Server struct {
	finder *Finder
	conn   *net.UnixConn

	mu      sync.Mutex // guards all below
	more    sync.Cond  // there are answers to be sent, or the last
	room    sync.Cond  // some have been sent
	answers []answer
	asked   int // questions that are not answered
	over    bool
}

// mostAnswers is how many answers wait to be read before no more questions are.
const mostAnswers = 1024

// NewServer returns a server at one end of a socket of type SOCK_SEQPACKET, which it takes over.
func NewServer(f *Finder, conn *net.UnixConn) *Server {
	v := &Server{finder: f, conn: conn}
	v.more.L, v.room.L = &v.mu, &v.mu
	return v
}

// Serve answers until the other side is gone, which is no error, or says what no Remote says.
func (v *Server) Serve() error {
	var sending sync.WaitGroup
	sending.Go(v.send)
	err := v.receive()
	if err != nil {
		_ = v.conn.Close()
	}
	v.mu.Lock()
	v.over = true
	v.more.Signal()
	v.mu.Unlock()
	sending.Wait()
	_ = v.conn.Close()
	return err
}

// Close ends Serve.
func (v *Server) Close() error { return v.conn.Close() }

func (v *Server) receive() error {
	b := make([]byte, maxMessage)
	for {
		n, _, flags, _, err := v.conn.ReadMsgUnix(b, nil)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, unix.ECONNRESET):
			return nil
		case err != nil:
			return err
		case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			return errMessage
		}
		if err := v.take(b[:n]); err != nil {
			return err
		}
		v.mu.Lock()
		for len(v.answers)+v.asked > mostAnswers {
			v.room.Wait()
		}
		v.mu.Unlock()
	}
}

// take begins the searches of a message.
func (v *Server) take(message []byte) error {
	ids, queries, err := v.finder.read(message)
	if err != nil || len(queries) == 0 {
		return err
	}
	v.mu.Lock()
	v.asked += len(queries)
	v.mu.Unlock()
	for i := range queries {
		queries[i].Done = func(p Process, why Reason) { v.answer(answer{ids[i], why, p}) }
	}
	v.finder.Search(queries)
	for i := range queries {
		if q := &queries[i]; !q.Searching {
			v.answer(answer{ids[i], q.Reason, q.Process})
		}
	}
	return nil
}

// answer has an answer sent.
func (v *Server) answer(a answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked--
	v.answers = append(v.answers, a)
	v.more.Signal()
}

// send sends answers until the last.
func (v *Server) send() {
	var b []byte
	for {
		v.mu.Lock()
		for len(v.answers) == 0 && (v.asked > 0 || !v.over) {
			v.more.Wait()
		}
		answers := v.answers
		v.answers = nil
		v.room.Signal()
		v.mu.Unlock()
		if len(answers) == 0 {
			return
		}
		for len(answers) > 0 {
			b = b[:0]
			for len(answers) > 0 && len(b) < maxMessage/2 {
				b = appendAnswer(b, &answers[0])
				answers = answers[1:]
			}
			_, _ = v.conn.Write(b) // who is gone needs none
		}
	}
}
