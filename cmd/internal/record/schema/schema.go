// Package schema holds the JSON Schema of the records, as "syntap schema" prints it.
package schema

import (
	_ "embed"
	"encoding/json"
	"maps"
	"path"
	"slices"
)

//go:embed records.schema.json
var text string

// Text returns the schema, JSON in the dialect 2020-12. Its $id ends in its version: a new key or
// type of record raises the second number, any other change the first.
func Text() string { return text }

// Keys returns the keys of all types of records, without those of their objects, in order.
func Keys() []string {
	var s struct {
		OneOf []struct {
			Ref string `json:"$ref"`
		}
		Defs map[string]struct{ Properties map[string]json.RawMessage } `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic("schema: " + err.Error())
	}
	keys := make(map[string]json.RawMessage)
	for _, kind := range s.OneOf {
		maps.Copy(keys, s.Defs[path.Base(kind.Ref)].Properties)
	}
	return slices.Sorted(maps.Keys(keys))
}
