// Package victorialogs keeps the records of a fleet in VictoriaLogs,
// docs.victoriametrics.com/victorialogs.
//
// Records come in by OTLP (package otlp). The router and the log are the stream, time is _time, the
// line is _msg, and all other attributes are fields. Questions are in LogsQL.
//
// # An answer is no proof
//
// VictoriaLogs answers 200 before anything is on disk, and for some seconds a kill takes the
// records with it; records outside of its retention get 200 too, and are thrown away. It does not
// know that it has a record twice. All that is told apart by counting (Has), which package fleet
// does.
//
// # Streams
//
// A filter for a stream, {router="…",log="…"}, would be answered from an index, which learns of a
// stream a second after its first record of a day; and an answer without it is cached. So records
// are asked for by fields, or by the ids of streams, which need no index.
//
// # Insert
//
// VictoriaLogs' insert/jsonline would say 200 even to a request that it cannot read; OTLP says 400.
package victorialogs
