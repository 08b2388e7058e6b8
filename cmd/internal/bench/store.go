package main

import (
	"io"
	"net/http"
)

// serveStore takes the records of a fleet by OTLP/HTTP, and throws them away. Its answer is an
// ExportLogsServiceResponse without members: all were taken.
func serveStore(addr string) error {
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
}
