package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
)

// Limits of an answer in bytes: it may come from another program than it seems.
const (
	maxStatus        = 1 << 20
	maxEvent         = 256 << 10 // a line of /api/events; that of a long DNS message may be passed over
	maxAnswerHeader  = 16 << 10
	maxErrorResponse = 1 << 10
)

// Client asks a running router.
type Client struct {
	address string // as configured
	host    string // in URLs
	http    http.Client
}

// NewClient returns a client for the server on address, in the form of http.listen.
func NewClient(address string) (*Client, error) {
	network, addr := split(address)
	c := &Client{address: address, host: "localhost"}
	if network == "tcp" {
		a, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, hint.Usage(fmt.Errorf("%q is no address to ask", address),
				"write it as http.listen has it: 127.0.0.1:9153 or unix:/run/syntap/http.sock")
		}
		switch a.Addr() { // listening everywhere includes the loopback
		case netip.IPv4Unspecified():
			a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
		case netip.IPv6Unspecified():
			a = netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
		}
		addr, c.host = a.String(), a.String()
	}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			if err := trust(conn, addr); err != nil {
				conn.Close()
				return nil, err
			}
			return conn, nil
		},
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // its output would not be bounded by its input
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// trust refuses a Unix socket on which another user listens, unless that is root, or owns the
// directory of the socket, as the user of a service does, and no other may write there.
func trust(conn net.Conn, path string) error {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	uid, err := peerUID(unix)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil && uid != 0 && int64(uid) != int64(os.Geteuid()) && !ownsDirectory(uid, path) {
		err = fmt.Errorf("user %d listens there, and neither root nor you", uid)
	}
	return err
}

// Timeout limits each request from now on, 0 = not at all.
func (c *Client) Timeout(d time.Duration) { c.http.Timeout = d }

// get requests a path and returns the body of the answer.
func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.host+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		err = fmt.Errorf("ask %s: %w", c.address, errors.Unwrap(err)) // without the URL
		switch {
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
			return nil, hint.Fail(err,
				`start "syntap run" with this http.listen in its config, or name the address of a running one with --at; `+
					`"syntap cleanup" opens a host that a dead one has closed`)
		case errors.Is(err, syscall.EACCES):
			return nil, hint.Fail(err, "ask as root, or as a member of the socket's group")
		}
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorResponse))
		return nil, fmt.Errorf("ask %s for %s: %s: %s", c.address, path, response.Status, bytes.TrimSpace(text))
	}
	return response.Body, nil
}

// Status returns the state of the router.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.get(ctx, "/api/status")
	if err != nil {
		return s, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxStatus+1))
	if err == nil && len(text) > maxStatus {
		err = fmt.Errorf("it is longer than %d bytes", maxStatus)
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return Status{}, hint.Fail(fmt.Errorf("read status of %s: %w", c.address, err),
			"name the http.listen of a running syntap: another program may answer there")
	}
	s.Version, s.Interface = terminal.Clean(s.Version), terminal.Clean(s.Interface)
	return s, nil
}

// Event is an event of a router's stream. Kind is "message" for a record, "lost" for records that
// are missing, "run" for the run that the following ones are of.
type Event struct {
	Kind string
	ID   uint64 // position of the record in the stream; 0 = it has none
	Data []byte // JSON; valid until the next event
}

// Connections calls f for each record by which a connection begins or ends, in order, until ctx or
// the stream ends. The stream begins after a position, if that is of the same run, or with the
// oldest record there is.
func (c *Client) Connections(ctx context.Context, run string, after uint64, f func(Event)) error {
	return c.stream(ctx, fmt.Sprintf("/api/connections?run=%s&after=%d", url.QueryEscape(run), after), f)
}

func (c *Client) stream(ctx context.Context, path string, f func(Event)) error {
	body, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewReaderSize(body, maxEvent)
	none := Event{Kind: "message"}
	e := none
	for {
		line, long, err := lines.ReadLine()
		for long && err == nil { // no record of syntap's is
			line = nil
			_, long, err = lines.ReadLine()
		}
		if err == io.EOF || ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read events of %s: %w", c.address, err)
		}
		key, value, _ := bytes.Cut(line, []byte(": "))
		switch string(key) {
		case "id":
			e.ID, _ = strconv.ParseUint(string(value), 10, 64) // 0 if it is no number
		case "event":
			e.Kind = string(value)
		case "data":
			e.Data = value
			f(e)
		case "": // the end of an event
			e = none
		}
	}
}
