// Package configs holds the configs that come with syntap.
package configs

import _ "embed"

//go:embed default.yaml
var defaultYAML string

// Default returns default.yaml, the config of a run that names none.
func Default() []byte { return []byte(defaultYAML) }
