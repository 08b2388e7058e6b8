package recordtest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"syntap/cmd/internal/record/schema"
)

// Validate returns an error unless a line is a record by the schema that "syntap schema" prints.
func Validate(line []byte) error {
	compiled, err := compile()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, line)
	}
	return nil
}

// compile returns the schema, which it checks against the schema of its dialect.
var compile = sync.OnceValues(func() (*jsonschema.Schema, error) {
	const url = "file:///records.schema.json"
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.Text()))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(url, document); err != nil {
		return nil, err
	}
	return compiler.Compile(url)
})
