// Package schema holds the JSON Schema of the records, as "syntap schema" prints it.
package schema

import _ "embed"

//go:embed records.schema.json
var text string

// Text returns the schema, JSON in the dialect 2020-12. Its $id ends in its version: a new key or
// type of record raises the second number, any other change the first.
func Text() string { return text }
