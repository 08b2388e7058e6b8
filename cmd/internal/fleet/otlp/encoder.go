package otlp

import (
	"errors"
	"strconv"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"syntap/cmd/internal/fleet"
)

// Encoder makes requests of batches, in memory that it uses again. It encodes by hand because
// records are nearly in the form of the wire, and values of the generated types cost more than all
// else that is done to send a record. It may be used by several goroutines.
type Encoder struct {
	mu     sync.Mutex
	sizes  []int // of the log records, in bytes
	buffer []byte
	number []byte // scratch
}

// Numbers of fields in opentelemetry/proto/{collector/logs,logs,common,resource}/v1.
const (
	resourceLogsField = 1 // of ExportLogsServiceRequest

	resourceField  = 1 // of ResourceLogs
	scopeLogsField = 2

	resourceAttributesField = 1 // of Resource

	logRecordsField = 2 // of ScopeLogs

	timeUnixNanoField = 1 // of LogRecord
	bodyField         = 5
	attributesField   = 6

	keyField   = 1 // of KeyValue
	valueField = 2

	stringValueField = 1 // of AnyValue
)

var errNotUTF8 = errors.New("encode records: a record is not in UTF-8")

// Encode calls f with a batch as ExportLogsServiceRequest of the OpenTelemetry Protocol 1.x, which
// is valid until f returns.
func (e *Encoder) Encode(b *fleet.Batch, f func(request []byte) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sizes = e.sizes[:0]
	scope := 0
	for i := range b.Records {
		if !utf8.Valid(b.Records[i].Line) {
			return &fleet.Refused{Err: errNotUTF8}
		}
		size := e.sizeOf(&b.Records[i])
		e.sizes = append(e.sizes, size)
		scope += sizeOfField(size)
	}
	about := [...][2]string{{"service.name", "syntap"}, {"router", b.Router}, {"log", b.Log}}
	resourceSize := 0
	for _, a := range about {
		resourceSize += sizeOfField(sizeOfAttribute(len(a[0]), len(a[1])))
	}
	to := appendHead(e.buffer[:0], resourceLogsField, sizeOfField(resourceSize)+sizeOfField(scope))
	to = appendHead(to, resourceField, resourceSize)
	for _, a := range about {
		to = appendAttribute(to, resourceAttributesField, a[0], []byte(a[1]))
	}
	to = appendHead(to, scopeLogsField, scope)
	for i := range b.Records {
		to = appendHead(to, logRecordsField, e.sizes[i])
		to = e.append(to, &b.Records[i])
	}
	e.buffer = to
	return f(to)
}

// numberOf returns the key and the text of the attribute that a record is found by. The text is
// valid until the next call.
func (e *Encoder) numberOf(r *fleet.Record) (key string, number []byte) {
	key, n := "seq", r.Seq
	if r.Head != 0 {
		key, n = "head_seq", r.Head
	}
	e.number = strconv.AppendUint(e.number[:0], n, 10)
	return key, e.number
}

// sizeOf returns the size of a LogRecord.
func (e *Encoder) sizeOf(r *fleet.Record) int {
	key, number := e.numberOf(r)
	size := protowire.SizeTag(timeUnixNanoField) + protowire.SizeFixed64() +
		sizeOfField(sizeOfField(len(r.Line))) + sizeOfField(sizeOfAttribute(len(key), len(number)))
	for m, text := range r.Members {
		if len(text) > 0 {
			size += sizeOfField(sizeOfAttribute(len(fleet.Member(m).Key()), len(text)))
		}
	}
	return size
}

// append appends a LogRecord.
func (e *Encoder) append(to []byte, r *fleet.Record) []byte {
	to = protowire.AppendTag(to, timeUnixNanoField, protowire.Fixed64Type)
	to = protowire.AppendFixed64(to, uint64(r.Time.UnixNano()))
	to = appendHead(to, bodyField, sizeOfField(len(r.Line)))
	to = append(appendHead(to, stringValueField, len(r.Line)), r.Line...)
	key, number := e.numberOf(r)
	to = appendAttribute(to, attributesField, key, number)
	for m, text := range r.Members {
		if len(text) > 0 {
			to = appendAttribute(to, attributesField, fleet.Member(m).Key(), text)
		}
	}
	return to
}

// sizeOfField returns the size of a field that is a message or a text of a size. All fields here
// have tags of one byte.
func sizeOfField(size int) int { return 1 + protowire.SizeBytes(size) }

// sizeOfAttribute returns the size of a KeyValue, given those of its texts.
func sizeOfAttribute(key, value int) int { return sizeOfField(key) + sizeOfField(sizeOfField(value)) }

// appendHead appends what stands before a message or a text of a size.
func appendHead(to []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.BytesType), uint64(size))
}

// appendAttribute appends a KeyValue with a text.
func appendAttribute(to []byte, field protowire.Number, key string, text []byte) []byte {
	to = appendHead(to, field, sizeOfAttribute(len(key), len(text)))
	to = append(appendHead(to, keyField, len(key)), key...)
	to = appendHead(to, valueField, sizeOfField(len(text)))
	return append(appendHead(to, stringValueField, len(text)), text...)
}
