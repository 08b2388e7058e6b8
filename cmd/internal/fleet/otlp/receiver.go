package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/encoding/protowire"

	"syntap/cmd/internal/fleet"
)

// Receiver is any receiver of logs by OTLP/HTTP, such as the OpenTelemetry Collector. It cannot be
// asked for what it has.
type Receiver struct {
	*Endpoint
	encoder Encoder
}

// NewReceiver reads the files of the options, and does not connect.
func NewReceiver(o Options) (*Receiver, error) {
	e, err := NewEndpoint(o)
	if err != nil {
		return nil, err
	}
	return &Receiver{Endpoint: e}, nil
}

// Header returns the header of a request, which is compressed in some way.
func Header(encoding string) http.Header {
	return http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {encoding}}
}

// Put sends a batch.
func (r *Receiver) Put(ctx context.Context, b *fleet.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	return r.encoder.Encode(b, func(request []byte) error {
		var body bytes.Buffer
		z := gzip.NewWriter(&body)
		_, _ = z.Write(request) // to memory
		_ = z.Close()
		answer, err := r.Post(ctx, "v1/logs", Header("gzip"), &body)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		const enough = 64 << 10
		text, err := io.ReadAll(io.LimitReader(answer.Body, enough))
		if err != nil {
			return err
		}
		return partial(text)
	})
}

// partial returns an error where an ExportLogsServiceResponse says that records were rejected.
func partial(response []byte) error {
	success := field(response, 1)
	var rejected uint64
	for number, b := protowire.Number(0), success; len(b) > 0; {
		var typ protowire.Type
		var n int
		if number, typ, n = protowire.ConsumeTag(b); n < 0 {
			return nil
		}
		b = b[n:]
		if number == 1 && typ == protowire.VarintType {
			rejected, _ = protowire.ConsumeVarint(b)
		}
		if n = protowire.ConsumeFieldValue(number, typ, b); n < 0 {
			return nil
		}
		b = b[n:]
	}
	if rejected == 0 {
		return nil
	}
	return &fleet.Rejected{N: rejected, Err: fmt.Errorf("%d records rejected: %.300q", rejected, field(success, 2))}
}

// field returns a member of a message that is a message or a text.
func field(message []byte, wanted protowire.Number) []byte {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if number == wanted && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			return value
		}
		if n = protowire.ConsumeFieldValue(number, typ, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}
