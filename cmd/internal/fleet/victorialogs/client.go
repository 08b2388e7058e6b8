package victorialogs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
)

// Client is a store. It may be used by several goroutines.
type Client struct {
	*otlp.Endpoint
	encoder otlp.Encoder
	body    []byte // of a request, while the encoder is at work
}

// New returns a client. It reads the files of the options, and does not connect.
func New(o otlp.Options) (*Client, error) {
	e, err := otlp.NewEndpoint(o)
	if err != nil {
		return nil, err
	}
	return &Client{Endpoint: e}, nil
}

// Put sends a batch. Snappy costs a router a quarter of the fastest zstd, for twice as many bytes.
func (c *Client) Put(ctx context.Context, b *fleet.Batch) error {
	return c.encoder.Encode(b, func(request []byte) error {
		header := otlp.Header("snappy")
		header.Set("VL-Stream-Fields", "router,log")
		c.body = s2.EncodeSnappy(c.body[:cap(c.body)], request)
		_, err := c.Send(ctx, "insert/opentelemetry/v1/logs", header, c.body)
		return err
	})
}

// maxRow is longer than any row of an answer in bytes: a record of VictoriaLogs has at most 2 MiB,
// and JSON may double it.
const maxRow = 8 << 20

// query calls row with each row of the answer to a query of LogsQL, an object in JSON that is valid
// until the next one. An error of row ends it. An answer of more rows than most is an error.
func (c *Client) query(ctx context.Context, logsQL string, most int, row func(line []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.Timeout, func() { cancel(fmt.Errorf("no answer within %v: %w", c.Timeout, context.DeadlineExceeded)) })
	defer silence.Stop()
	rows := 0
	err := c.ask(ctx, logsQL, func(line []byte) error {
		silence.Reset(c.Timeout)
		if rows++; rows > most {
			return fmt.Errorf("answer to a query: more than %d rows", most)
		}
		return row(line)
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// ask is query without a limit of time.
func (c *Client) ask(ctx context.Context, logsQL string, row func(line []byte) error) error {
	body := strings.NewReader(url.Values{"query": {logsQL}}.Encode())
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	answer, err := c.Post(ctx, "select/logsql/query", header, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxRow)
	lines.Split(wholeRow)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0] != '{' {
			return fmt.Errorf("answer to a query: %.300q", line)
		}
		if err := row(line); err != nil {
			return err
		}
	}
	return lines.Err()
}

// wholeRow splits an answer into rows. One without its end was cut off with the connection: it may
// look like a record that was altered.
func wholeRow(data []byte, atEOF bool) (advance int, row []byte, err error) {
	if advance, row, _ = bufio.ScanLines(data, false); advance == 0 && atEOF && len(data) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return advance, row, err
}

// quoted returns a text as it stands in a query.
func quoted(text string) string { return strconv.Quote(text) }

// stream returns the filter for a log, or where Log or Router is "" for all of that part. A filter
// for streams, {router="…"}, would be answered out of an index that is behind the records, and out
// of a cache of that: a stream that was asked for too early may stay empty for minutes.
func stream(id fleet.LogID) string {
	text := "*"
	if id.Router != "" {
		text = "router:=" + quoted(id.Router)
	}
	if id.Log != "" {
		text += " log:=" + quoted(id.Log)
	}
	return text
}
