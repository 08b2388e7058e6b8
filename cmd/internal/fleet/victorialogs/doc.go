// Package victorialogs keeps the records of a fleet in VictoriaLogs,
// docs.victoriametrics.com/victorialogs.
//
// Records come in by OTLP (package otlp). The router and the log are the stream, time is _time, the
// line is _msg, and all other attributes are fields. Questions are in LogsQL.
//
// # An answer is no proof
//
// VictoriaLogs answers 200 before anything is on disk, and for some seconds a kill loses the
// records. It also answers 200 for records outside its retention, and drops them. It does not
// notice duplicates. Package fleet finds all this by counting (Has).
//
// # Streams
//
// A filter for a stream, {router="…",log="…"}, uses an index that learns of a stream a second after
// its first record of a day, and answers without it are cached. So records are queried by fields,
// or by the ids of streams, which need no index.
//
// # Insert
//
// VictoriaLogs' insert/jsonline answers 200 even to a request that it cannot read; OTLP answers
// 400.
package victorialogs
