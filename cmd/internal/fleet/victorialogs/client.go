package victorialogs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/otlp"
)

// Client is a store. It may be used by several goroutines.
type Client struct {
	*otlp.Endpoint
	encoder otlp.Encoder
	zstd    *zstd.Encoder
}

// New returns a client. It reads the files of the options, and does not connect.
func New(o otlp.Options) (*Client, error) {
	e, err := otlp.NewEndpoint(o)
	if err != nil {
		return nil, err
	}
	// Larger windows gain nothing on batches of 1 MiB, and hold memory.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	return &Client{Endpoint: e, zstd: z}, nil
}

// Put sends a batch.
func (c *Client) Put(ctx context.Context, b *fleet.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.encoder.Encode(b, func(request []byte) error {
		header := otlp.Header("zstd")
		header.Set("VL-Stream-Fields", "router,log")
		body := c.zstd.EncodeAll(request, nil)
		answer, err := c.Post(ctx, "insert/opentelemetry/v1/logs", header, bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body) // so that the connection can be used again
		return err
	})
}

// maxRow is longer than any row of an answer in bytes: a record of VictoriaLogs has at most 2 MiB,
// and JSON may double it.
const maxRow = 8 << 20

// query calls row with each row of the answer to a query of LogsQL, an object in JSON that is valid
// until the next one. An error of row ends it.
func (c *Client) query(ctx context.Context, logsQL string, row func(line []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.Timeout, func() { cancel(fmt.Errorf("no answer within %v: %w", c.Timeout, context.DeadlineExceeded)) })
	defer silence.Stop()
	err := c.ask(ctx, logsQL, func(line []byte) error {
		silence.Reset(c.Timeout)
		return row(line)
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	lines.Split(wholeRow)
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
// wholeRow splits an answer into rows. One without its end was cut off with the connection: it may
// look like a record that was altered.
func wholeRow(data []byte, atEOF bool) (advance int, row []byte, err error) {
	if advance, row, _ = bufio.ScanLines(data, false); advance == 0 && atEOF && len(data) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return advance, row, err
}

	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxRow)
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
