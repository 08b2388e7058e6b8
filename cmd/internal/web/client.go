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
	"strings"
	"syscall"
	"time"

	"syntap/cmd/internal/hint"
)

// maxEvent is the longest line that a client takes from /api/events.
const maxEvent = 1 << 20

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
			return nil, hint.Usage(fmt.Errorf("%q is no address to ask", address), "write it as http.listen has it: 127.0.0.1:9153 or unix:/run/syntap/http.sock")
		}
		switch a.Addr() { // listening everywhere includes the loopback
		case netip.IPv4Unspecified():
			a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
		case netip.IPv6Unspecified():
			a = netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
		}
		addr, c.host = a.String(), a.String()
	}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	return c, nil
}

// Timeout limits each request from now on, 0 = not at all.
func (c *Client) Timeout(d time.Duration) { c.http.Timeout = d }

// get asks for a path and returns the body of the answer.
func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.host+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		err = fmt.Errorf("ask %s: %w", c.address, errors.Unwrap(err)) // without the URL
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
			return nil, hint.Fail(err, `start "syntap run" with this http.listen in its config, or name the address of a running one with --at`)
		}
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("ask %s for %s: %s: %s", c.address, path, response.Status, bytes.TrimSpace(text))
	}
	return response.Body, nil
}

// Status returns what the router tells of itself.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.get(ctx, "/api/status")
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("read status of %s: %w", c.address, err)
	}
	return s, nil
}

// Events calls f for each event of the router, in order, until ctx or the stream ends; kind is "message" for a record and
// "lost" for records that are missing. The stream begins after record number after, or with the oldest there is.
func (c *Client) Events(ctx context.Context, after uint64, f func(kind string, data []byte)) error {
	body, err := c.get(ctx, fmt.Sprintf("/api/events?after=%d", after))
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	kind := "message"
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "event":
			kind = value
		case "data":
			f(kind, []byte(value))
		case "": // the end of an event
			kind = "message"
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read events of %s: %w", c.address, err)
	}
	return ctx.Err()
}
