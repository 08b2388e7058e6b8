package channel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Questions and answers go through a stream. A question is a number and a kind, an answer the
// number, whether it is an error, and a text. Answers may come in any order.
const (
	questionBytes = 9
	answerBytes   = 13 // before the text
)

// maxQuestions is how many of one process wait for an answer at most; others wait for their turn.
const maxQuestions = 16

// Stream returns the two ends of a socket for an [Asker] and for [Answer]: ours, and that of
// another process.
func Stream() (*net.UnixConn, *os.File, error) { return pairOf(unix.SOCK_STREAM) }

// Asker asks the process at the other end of a stream.
type Asker struct {
	conn net.Conn
	max  int // bytes of an answer

	places chan struct{} // for questions without an answer
	ended  chan struct{} // closed at the end
	asking sync.Mutex    // held while a question is written

	mu      sync.Mutex // guards all below
	last    uint64
	waiting map[uint64]chan answer
}

type answer struct {
	text []byte
	err  error
}

// NewAsker returns an asker, which takes conn over. Listen has it get the answers, which have at
// most max bytes.
func NewAsker(conn net.Conn, max int) *Asker {
	return &Asker{
		conn: conn, max: max, places: make(chan struct{}, maxQuestions), ended: make(chan struct{}),
		waiting: make(map[uint64]chan answer),
	}
}

// ErrEnded is the error of a question to a process that has ended.
var ErrEnded = errors.New("the process that is asked has ended")

// Ask returns the answer to a question, or the error that the other process has answered, or that
// of ctx, or ErrEnded.
func (a *Asker) Ask(ctx context.Context, kind byte) ([]byte, error) {
	select {
	case a.places <- struct{}{}: // until the answer comes, which may be later than ctx
	case <-a.ended:
		return nil, ErrEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	got := make(chan answer, 1)
	a.mu.Lock()
	a.last++
	number := a.last
	a.waiting[number] = got
	a.mu.Unlock()

	question := append(binary.LittleEndian.AppendUint64(nil, number), kind)
	a.asking.Lock()
	_, err := a.conn.Write(question) // which has room for all that may wait
	a.asking.Unlock()
	if err != nil {
		return nil, ErrEnded
	}
	select {
	case answer := <-got:
		return answer.text, answer.err
	case <-a.ended:
		return nil, ErrEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Listen takes answers until the other process has ended, which is no error, or says anything else.
func (a *Asker) Listen() error {
	defer close(a.ended)
	defer a.conn.Close()
	for {
		var head [answerBytes]byte
		if _, err := io.ReadFull(a.conn, head[:]); err != nil {
			return unlessEnd(err)
		}
		number, n := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint32(head[9:])
		a.mu.Lock()
		got := a.waiting[number]
		a.mu.Unlock()
		if got == nil || int64(n) > int64(a.max) || head[8] > 1 {
			return fmt.Errorf("an answer of %d bytes to question %d", n, number)
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(a.conn, text); err != nil {
			return unlessEnd(err)
		}
		a.mu.Lock()
		delete(a.waiting, number)
		a.mu.Unlock()
		<-a.places
		if head[8] == 1 {
			got <- answer{err: errors.New(string(text))}
		} else {
			got <- answer{text: text}
		}
	}
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}

// Close ends Listen.
func (a *Asker) Close() error { return a.conn.Close() }

// Answer answers the questions that come by conn, until the other process has ended. It calls
// answer from several goroutines, few at a time: one that asks for more has to wait.
func Answer(conn net.Conn, answer func(kind byte) ([]byte, error)) error {
	defer conn.Close()
	places := make(chan struct{}, maxQuestions)
	var writing sync.Mutex
	for {
		var question [questionBytes]byte
		if _, err := io.ReadFull(conn, question[:]); err != nil {
			return unlessEnd(err)
		}
		places <- struct{}{}
		go func() {
			defer func() { <-places }()
			text, err := answer(question[8])
			said := append(question[:8:8], 0)
			if err != nil {
				text, said[8] = []byte(err.Error()), 1
			}
			said = append(binary.LittleEndian.AppendUint32(said, uint32(len(text))), text...)
			writing.Lock()
			defer writing.Unlock()
			_, _ = conn.Write(said) // the end is noticed above
		}()
	}
}
