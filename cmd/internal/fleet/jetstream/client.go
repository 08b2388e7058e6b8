package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
)

// streamName is the stream of all records.
const streamName = "SYNTAP"

// Client is a store. It may be used by several goroutines.
type Client struct {
	servers string
	options []nats.Option
	timeout time.Duration // of a question
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	muted   muted

	connecting sync.Mutex
	nats       *nats.Conn // nil = not yet
	js         jetstream.JetStream

	writing sync.Mutex
	ends    map[string]*end // of the logs that Put has written, by subject

	places places
}

// New returns a client. It reads the files of the options, and does not connect. The URL is
// tls://HOST:PORT[,HOST:PORT...], the nodes of one cluster; the scheme nats is for nodes on this
// host, without TLS. The file of the token holds USER:PASSWORD, a token, or credentials as nsc
// writes them.
func New(o otlp.Options) (*Client, error) {
	servers, encrypted, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{servers: servers, timeout: o.Timeout, ends: make(map[string]*end)}
	if c.timeout == 0 {
		c.timeout = 30 * time.Second
	}
	if c.options, err = options(o, encrypted); err != nil {
		return nil, err
	}
	c.options = append(
		c.options, nats.ErrorHandler(c.muted.note), nats.Timeout(min(c.timeout, 5*time.Second)),
	)
	c.encoder, err = zstd.NewWriter(
		nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxLines),
	)
	if err != nil {
		return nil, err
	}
	c.decoder, err = zstd.NewReader(
		nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent),
	)
	return c, err
}

// parseURL returns the servers of a URL, and whether they have to speak TLS.
func parseURL(text string) (servers string, encrypted bool, err error) {
	scheme, hosts, _ := strings.Cut(text, "://")
	if scheme != "nats" && scheme != "tls" {
		return "", false, fmt.Errorf("%q is no URL of NATS: write tls://HOST:4222", text)
	}
	var all []string
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse(scheme + "://" + host)
		if err != nil || u.Hostname() == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
			return "", false, fmt.Errorf("%q is no server of NATS: write HOST:4222", host)
		}
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Hostname(), "4222")
		}
		addr, err := netip.ParseAddr(u.Hostname())
		local := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
		if scheme == "nats" && !local {
			return "", false, fmt.Errorf(
				"records would go to %s in the clear: write tls://%s", host, host,
			)
		}
		all = append(all, u.String())
	}
	return strings.Join(all, ","), scheme == "tls", nil
}

// options returns the options of a connection that files and the caller give.
func options(o otlp.Options, encrypted bool) ([]nats.Option, error) {
	all := []nats.Option{
		nats.Name("syntap"), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.ReconnectBufSize(-1), // a message goes now, or Put fails
	}
	if encrypted {
		config, err := o.TLS()
		if err != nil {
			return nil, err
		}
		all = append(all, nats.Secure(config))
		if len(config.Certificates) > 0 {
			all = append(all, inbox(config.Certificates[0].Leaf.Subject.CommonName))
		}
	}
	if o.Dial != nil {
		all = append(all, nats.SetCustomDialer(dialer(o.Dial)))
	}
	if o.Token == "" {
		return all, nil
	}
	text, err := os.ReadFile(o.Token)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(string(text))
	if strings.HasPrefix(token, "-----BEGIN NATS USER JWT") {
		return append(all, nats.UserCredentials(o.Token)), nil
	}
	if user, password, ok := strings.Cut(token, ":"); ok {
		return append(all, nats.UserInfo(user, password), inbox(user)), nil
	}
	return append(all, nats.Token(token)), nil
}

// inbox has answers come to subjects below the name of the user, so that the servers can keep those
// of others from it.
func inbox(user string) nats.Option { return nats.CustomInboxPrefix("_INBOX." + token(user)) }

// dialer opens connections for nats.go.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return d(ctx, network, address)
}

// connect makes the connection, unless there is one: that is kept by nats.go.
func (c *Client) connect() error {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	if c.nats != nil {
		return nil
	}
	conn, err := nats.Connect(c.servers, c.options...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	if c.js, err = jetstream.New(conn); err != nil {
		conn.Close()
		return err
	}
	c.nats = conn
	return nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	if c.nats != nil {
		c.nats.Close()
	}
	c.decoder.Close()
	return c.encoder.Close()
}

// muted notes the word of a server that this user may not publish on the subject of a log. It comes
// beside the answers, instead of one. It holds for a while: the user may be given the right.
type muted struct {
	mu   sync.Mutex
	at   time.Time     // of the word; zero = it has not come
	done chan struct{} // closed when it comes
}

// mutedFor is how long the word holds.
const mutedFor = time.Minute

func (m *muted) note(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) ||
		!strings.Contains(err.Error(), `Publish to "`+subjectPrefix) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renew()
	if m.at.IsZero() {
		close(m.done)
	}
	m.at = time.Now()
}

// renew forgets a word that does not hold any more. mu is held.
func (m *muted) renew() {
	if m.done == nil || !m.at.IsZero() && time.Since(m.at) >= mutedFor {
		m.at, m.done = time.Time{}, make(chan struct{})
	}
}

// word returns a channel that is closed when the word has come.
func (m *muted) word() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renew()
	return m.done
}

// is reports whether that word has come.
func (m *muted) is() bool {
	select {
	case <-m.word():
		return true
	default:
		return false
	}
}

// subjectPrefix begins the subjects of all logs.
const subjectPrefix = "syntap.v1."

// subject returns the subject of a log.
func subject(id fleet.LogID) string { return subjectPrefix + token(id.Router) + "." + id.Log }

// token returns a name as one token of a subject: its dots, and all else that not every subject
// may have, are written as in a URL.
func token(name string) string {
	return strings.NewReplacer(".", "%2E", "*", "%2A").Replace(url.PathEscape(name))
}

// parseSubject returns the log of a subject.
func parseSubject(s string) (id fleet.LogID, ok bool) {
	rest, ok := strings.CutPrefix(s, subjectPrefix)
	router, log, found := strings.Cut(rest, ".")
	name, err := url.PathUnescape(router)
	return fleet.LogID{Router: name, Log: log}, ok && found && err == nil
}
