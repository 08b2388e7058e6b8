package otlp

import (
	"bytes"
	"context"
	"fmt"
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
	gzip    *gzip.Writer
	body    bytes.Buffer
}

// NewReceiver reads the files of the options, and does not connect.
func NewReceiver(o Options) (*Receiver, error) {
	e, err := NewEndpoint(o)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	return &Receiver{Endpoint: e, gzip: z}, nil
}

// Header returns the header of a request, which is compressed in some way; "" = in none.
func Header(encoding string) http.Header {
	h := http.Header{"Content-Type": {"application/x-protobuf"}}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	return h
}

// Put sends a batch: to this host, where http leads, as it is.
func (r *Receiver) Put(ctx context.Context, b *fleet.Batch) error {
	return r.encoder.Encode(b, func(request []byte) error {
		header, body := Header(""), request
		if r.base.Scheme != "http" {
			r.body.Reset()
			r.gzip.Reset(&r.body)
			_, _ = r.gzip.Write(request) // to memory
			_ = r.gzip.Close()
			header, body = Header("gzip"), r.body.Bytes()
		}
		answer, err := r.Send(ctx, "v1/logs", header, body)
		if err != nil {
			return err
		}
		return partial(answer)
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
