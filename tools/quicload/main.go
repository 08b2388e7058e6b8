// Command quicload is the load and the far end of cmd/internal/bench for QUIC, in a module of its
// own: nothing else needs quic-go. "make bench" builds it.
//
//	quicload serve ADDRESS
//	quicload load up|down TARGET N
//
// The load has N connections with a stream each. Both answer each line on standard input with the
// bytes that they have received, in the form of bench's samples.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// The first byte of a stream asks the far end for something.
const (
	askSink = 's' // receive
	askSend = 'd' // send without end
)

const (
	protocol  = "bench"   // of ALPN
	chunkSize = 128 << 10 // of a write to a stream
)

func main() {
	start := time.Now()
	failed := make(chan error, 1)
	var c counter
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "serve":
		l, err := listen(args[1])
		if err != nil {
			fail(err)
		}
		go func() { failed <- c.serve(l) }()
	case len(args) == 4 && args[0] == "load" && (args[1] == "up" || args[1] == "down"):
		n, err := strconv.Atoi(args[3])
		if err != nil {
			fail(err)
		}
		for range n {
			go func() { failed <- c.load(args[1], args[2]) }()
		}
	default:
		fail(fmt.Errorf("unknown arguments %q", args))
	}
	go func() { failed <- c.answer(start) }()
	if err := <-failed; err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "quicload:", err)
	os.Exit(1)
}

// counter counts the bytes that have been received.
type counter struct{ bytes atomic.Int64 }

// answer writes a sample for each line of standard input, until there are no more.
func (c *counter) answer(start time.Time) error {
	lines, samples := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		sample := struct {
			Elapsed time.Duration
			Bytes   int64
		}{time.Since(start), c.bytes.Load()}
		if err := samples.Encode(sample); err != nil {
			return err
		}
	}
	return lines.Err()
}

// load opens a connection and a stream, and sends or receives.
func (c *counter) load(kind, target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The far end is this program: its certificate proves nothing.
	config := tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}
	conn, err := quic.DialAddr(ctx, target, &config, nil)
	if err != nil {
		return err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	ask := byte(askSink)
	if kind == "down" {
		ask = askSend
	}
	if _, err := stream.Write([]byte{ask}); err != nil {
		return err
	}
	if kind == "down" {
		return c.receive(stream)
	}
	return send(stream)
}

// listen opens the far end. Only then lines are answered.
func listen(addr string) (*quic.Listener, error) {
	config, err := selfSigned()
	if err != nil {
		return nil, err
	}
	return quic.ListenAddr(addr, config, nil)
}

// serve does for the first stream of each connection as it asks, until the listener fails.
func (c *counter) serve(l *quic.Listener) error {
	for {
		conn, err := l.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			stream, err := conn.AcceptStream(context.Background())
			if err != nil {
				return
			}
			ask := make([]byte, 1)
			if _, err := io.ReadFull(stream, ask); err != nil {
				return
			}
			if ask[0] == askSend {
				_ = send(stream)
			} else {
				_ = c.receive(stream)
			}
		}()
	}
}

func send(w io.Writer) error {
	chunk := make([]byte, chunkSize)
	for {
		if _, err := w.Write(chunk); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
}

func (c *counter) receive(r io.Reader) error {
	buf := make([]byte, chunkSize)
	for {
		n, err := r.Read(buf)
		c.bytes.Add(int64(n))
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
	}
}

// selfSigned returns a server's configuration with a certificate of its own.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	config := tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{protocol}}
	return &config, nil
}
