package pathmtu

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
)

// question is one that a far end is asked.
type question struct {
	protocol Protocol
	web      bool // in TLS, HTTP too
}

// talk is a conversation with a far end.
type talk struct {
	question
	host, path  string
	spoken, web atomic.Bool // as in exchange
}

// converse returns when the far end has nothing more to say.
func (t *talk) converse(c net.Conn) {
	switch t.protocol {
	case TLS:
		secure := tls.Client(c, &tls.Config{
			ServerName:         serverName(t.host),
			InsecureSkipVerify: true,                                     // sizes count, not content
			CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256}, // ML-KEM's keys make a question of full size
		})
		err := secure.Handshake()
		t.spoken.Store(err == nil || isTLS(err))
		if err == nil && t.question.web {
			t.browse(secure)
		}
	case HTTP:
		t.browse(c)
		t.spoken.Store(t.web.Load())
	case SSH, Unknown:
		t.listen(c)
	}
}

// isTLS tells whether a handshake has failed by an alert, and not because the far end has another
// protocol or is gone.
func isTLS(err error) bool {
	other := errors.As(err, new(tls.RecordHeaderError)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, new(syscall.Errno))
	return !other
}

// browse asks for a page and reads it.
func (t *talk) browse(c io.ReadWriter) {
	if _, err := io.WriteString(c, request(t.host, t.path)+"Connection: close\r\n\r\n"); err != nil {
		return
	}
	r := bufio.NewReader(c)
	start, err := r.Peek(len("HTTP/"))
	if err != nil || string(start) != "HTTP/" {
		return
	}
	t.web.Store(true)
	t.spoken.Store(true)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}

// serverName is the name that a ClientHello has: none for an address (RFC 6066, section 3).
func serverName(host string) string {
	if net.ParseIP(host) != nil {
		return ""
	}
	return host
}

// listen reads what a far end says without a question: of SSH its identification and its KEXINIT.
func (t *talk) listen(c io.Reader) {
	var said []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if len(said) < 64<<10 {
			said = append(said, buf[:n]...)
		}
		line, rest, _ := bytes.Cut(said, []byte("\n"))
		if bytes.HasPrefix(line, []byte("SSH-")) {
			t.spoken.Store(true)
			if len(rest) > 4 && len(rest) >= 4+int(binary.BigEndian.Uint32(rest)) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
