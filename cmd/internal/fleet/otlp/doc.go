// Package otlp sends records to receivers of logs by OTLP/HTTP: the OpenTelemetry Protocol with
// Protocol Buffers, opentelemetry.io/docs/specs/otlp.
//
//	fleet.Batch ──▶ Encoder ──▶ ExportLogsServiceRequest ──▶ Endpoint ──▶ POST …/v1/logs
//
// A request has one resource, with the attributes service.name, router and log. Each of its log
// records is a record of the log: its time, its line as the body, byte for byte, and its number and
// members as attributes ([fleet.Member]), all of them texts.
//
// A [Receiver] knows nothing but that. An [Endpoint] is the HTTP of it, with certificates and
// tokens; stores that speak OTLP and can be asked too are made on top of it (package victorialogs).
package otlp
