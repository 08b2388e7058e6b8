package otlp

import (
	"fmt"
	"strconv"
	"sync"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"syntap/cmd/internal/fleet"
)

// Encoder makes requests of batches, in memory that it uses again. It may be used by several
// goroutines.
type Encoder struct {
	mu      sync.Mutex
	data    logs.LogsData // the request: it is on the wire as ExportLogsServiceRequest is
	records []*entry      // of the largest batch so far
	buffer  []byte
}

// entry is a record of a request with all that it may hold.
type entry struct {
	record     logs.LogRecord
	body       common.AnyValue_StringValue
	seq        text
	members    [fleet.NumMembers]text
	attributes [fleet.NumMembers + 1]*common.KeyValue
}

// text is an attribute.
type text struct {
	pair  common.KeyValue
	value common.AnyValue_StringValue
}

func (t *text) init(key string) {
	t.pair.Key, t.pair.Value = key, &common.AnyValue{Value: &t.value}
}

func newEntry() *entry {
	e := new(entry)
	e.record.Body = &common.AnyValue{Value: &e.body}
	e.seq.init("seq")
	for m := range e.members {
		e.members[m].init(fleet.Member(m).Key())
	}
	return e
}

// Encode calls f with a batch as ExportLogsServiceRequest of the OpenTelemetry Protocol 1.x, which
// is valid until f returns.
func (e *Encoder) Encode(b *fleet.Batch, f func(request []byte) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.records) < len(b.Records) {
		e.records = append(e.records, newEntry())
	}
	if e.data.ResourceLogs == nil {
		e.data.ResourceLogs = []*logs.ResourceLogs{{
			Resource: &resource.Resource{}, ScopeLogs: []*logs.ScopeLogs{{}},
		}}
	}
	r := e.data.ResourceLogs[0]
	r.Resource.Attributes = []*common.KeyValue{
		attribute("service.name", "syntap"), attribute("router", b.Router), attribute("log", b.Log),
	}
	list := r.ScopeLogs[0].LogRecords[:0]
	for i := range b.Records {
		e.records[i].set(&b.Records[i])
		list = append(list, &e.records[i].record)
	}
	r.ScopeLogs[0].LogRecords = list
	var err error
	if e.buffer, err = (proto.MarshalOptions{}).MarshalAppend(e.buffer[:0], &e.data); err != nil {
		return &fleet.Refused{Err: fmt.Errorf("encode records: %w", err)}
	}
	return f(e.buffer)
}

func attribute(key, value string) *common.KeyValue {
	t := new(text)
	t.init(key)
	t.value.StringValue = value
	return &t.pair
}

func (e *entry) set(r *fleet.Record) {
	e.record.TimeUnixNano = uint64(r.Time.UnixNano())
	e.body.StringValue = string(r.Line)
	e.seq.pair.Key, e.seq.value.StringValue = "seq", strconv.FormatUint(r.Seq, 10)
	if r.Head != 0 {
		e.seq.pair.Key, e.seq.value.StringValue = "head_seq", strconv.FormatUint(r.Head, 10)
	}
	e.attributes[0] = &e.seq.pair
	n := 1
	for m, value := range r.Members {
		if value != "" {
			e.members[m].value.StringValue = value
			e.attributes[n] = &e.members[m].pair
			n++
		}
	}
	e.record.Attributes = e.attributes[:n]
}
