// Package otlp sends records to receivers of logs by OTLP/HTTP: the OpenTelemetry Protocol with
// Protocol Buffers, opentelemetry.io/docs/specs/otlp.
//
//	fleet.Batch ──▶ Encoder ──▶ ExportLogsServiceRequest ──▶ Endpoint ──▶ POST …/v1/logs
//
// A request has one resource, with the attributes service.name, router and log. Each of its log
// records is a record of the log: its time, its line as the body, byte for byte, and its number and
// members as attributes ([fleet.Member]), all of them texts.
//
// A [Receiver] only receives. An [Endpoint] sends the HTTP requests, with certificates and tokens.
// Stores that speak OTLP and also answer queries use it (package victorialogs).
package otlp
