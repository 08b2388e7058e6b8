package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/fleet"
)

// Options say how a server is reached. URL is required.
type Options struct {
	URL   string // https://HOST:PORT, perhaps with a path in front of the server's own
	CA    string // file of the certificates that vouch for the server; "" = those of the system
	Cert  string // with Key: file of the certificate by which the server knows its client; "" = none
	Key   string // file of its key
	Token string // file of the token by which the server knows its client; "" = none

	Timeout time.Duration // for an answer; 0 = 30 s

	// Dial opens connections; nil = those of the host.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Endpoint is a server that is spoken to by HTTP. It may be used by several goroutines.
type Endpoint struct {
	Timeout time.Duration // for an answer

	base  *url.URL
	token string
	http  *http.Client
}

// NewEndpoint reads the files of the options, and does not connect.
func NewEndpoint(o Options) (*Endpoint, error) {
	base, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{Timeout: o.Timeout, base: base}
	if e.Timeout == 0 {
		e.Timeout = 30 * time.Second
	}
	if o.Token != "" {
		token, err := os.ReadFile(o.Token)
		if err != nil {
			return nil, err
		}
		e.token = string(bytes.TrimSpace(token))
	}
	secure, err := o.TLS()
	if err != nil {
		return nil, err
	}
	e.http = &http.Client{
		Transport: &http.Transport{
			DialContext: o.Dial, TLSClientConfig: secure, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		},
		// A redirection would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

// TLS reads the certificates.
func (o *Options) TLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: it has no certificate in PEM", o.CA)
		}
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Close closes the connections.
func (e *Endpoint) Close() error {
	e.http.CloseIdleConnections()
	return nil
}

// Post sends a request to a path below that of the URL, and returns the answer. One that is not
// 2xx is an error, as [fleet.Receiver] has them.
func (e *Endpoint) Post(
	ctx context.Context, path string, header http.Header, body io.Reader,
) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base.JoinPath(path).String(), body)
	if err != nil {
		return nil, err
	}
	return e.do(r, header)
}

// enough is the most bytes of an answer to records that is read.
const enough = 64 << 10

// Send is Post for records, in a body whose memory is free again when Send returns. It returns the
// beginning of the answer.
func (e *Endpoint) Send(
	ctx context.Context, path string, header http.Header, body []byte,
) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	lent := &loan{b: body}
	defer lent.end()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base.JoinPath(path).String(), lent.reader())
	if err != nil {
		return nil, err
	}
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return lent.reader(), nil } // for a connection that was closed while idle
	response, err := e.do(r, header)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(response.Body, enough)); err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, response.Body) // so that the connection can be used again
	return answer, err
}

func (e *Endpoint) do(r *http.Request, header http.Header) (*http.Response, error) {
	r.Header = header
	if e.token != "" {
		r.Header.Set("Authorization", "Bearer "+e.token)
	}
	answer, err := e.http.Do(r)
	if err != nil {
		return nil, err
	}
	isPage := strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html")
	if answer.StatusCode/100 == 2 && !isPage {
		return answer, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 { // of a portal or a proxy, that has passed nothing on
		return nil, &fleet.Busy{Err: errors.New(answer.Status + ": a page for people, and no receiver of records")}
	}
	return nil, errorOf(answer)
}

// errorOf returns the error that an answer stands for.
func errorOf(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	err := errors.New(strings.TrimSuffix(answer.Status+": "+line, ": "))
	switch code := answer.StatusCode; code {
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // a date counts as none
		return &fleet.Busy{After: time.Duration(max(0, seconds)) * time.Second, Err: err}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return &fleet.Busy{Err: err} // of a proxy, or of another server than was meant
	case http.StatusRequestEntityTooLarge:
		return &fleet.Refused{TooLarge: true, Err: err}
	case http.StatusRequestTimeout:
		return err
	default:
		switch code / 100 {
		case 3:
			return &fleet.Busy{Err: err} // the same
		case 4:
			return &fleet.Refused{Err: err}
		}
		return err
	}
}
