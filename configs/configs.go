// Package configs holds the configs and texts that come with syntap.
package configs

import _ "embed"

//go:embed default.yaml
var defaultYAML string

//go:embed reference.yaml
var referenceYAML string

//go:embed records.md
var recordsText string

// Default returns default.yaml, the config of a run that names none.
func Default() []byte { return []byte(defaultYAML) }

// Reference returns reference.yaml, which has every key with its default.
func Reference() []byte { return []byte(referenceYAML) }

// Records returns records.md, which has every key of the records.
func Records() []byte { return []byte(recordsText) }
