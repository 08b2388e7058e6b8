package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"go.yaml.in/yaml/v4"

	"syntap/cmd/internal/hint"
	"syntap/configs"
)

// maxFile is the size of the largest config file that is read, in bytes.
const maxFile = 1 << 20

// Installed is the config of a service.
const Installed = "/etc/syntap/config.yaml"

// Find returns the config of a command that names none: $SYNTAP_CONFIG, else Installed where it
// exists, else "".
func Find(getenv func(string) string) (file string) {
	if file = getenv("SYNTAP_CONFIG"); file != "" {
		return file
	}
	if _, err := os.Stat(Installed); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return Installed
}

// Load reads and resolves the config file; "" stands for the built-in configs/default.yaml. Its
// errors are for the user: they have status 2, the place in the file where there is one, and a hint
// where there is a remedy.
func Load(file string) (*Config, error) {
	if file == "" {
		return Parse("default.yaml", configs.Default())
	}
	data, err := read(file, `"syntap check" prints a complete config to start from`)
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}

// Parse resolves the config in data. Errors name it by file and list all mistakes.
func Parse(file string, data []byte) (*Config, error) {
	d := newDocument(file)
	c := d.parse(data)
	if err := report(d.problems); err != nil {
		return nil, err
	}
	return c, nil
}

// parse resolves the config in data and notes all mistakes.
func (d *document) parse(data []byte) *Config {
	c := Default()
	d.read(data, d.config(c))
	if !d.gives("limits.half_open_per_source") {
		c.Limits.HalfOpenPerSource = min(c.Limits.HalfOpenPerSource, c.Limits.HalfOpen)
	}
	if !d.gives("limits.udp_flows_per_source") {
		c.Limits.UDPFlowsPerSource = max(1, c.Limits.UDPFlows/4)
	}
	if !d.gives("limits.tcp_flows_per_source") {
		c.Limits.TCPFlowsPerSource = max(1, c.Limits.TCPFlows/4)
	}
	d.validate(c)
	return c
}

// read returns the content of a file; source is a way to get one.
func read(file, source string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, hint.Usage(err, source)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, hint.Usage(err, "")
	case info.IsDir():
		return nil, hint.Usage(fmt.Errorf("%s: is a directory", file), "")
	case info.Mode().IsRegular() && writableByAll(info.Mode()):
		// The author of the config routes this host's traffic.
		return nil, hint.Usage(fmt.Errorf("%s: can be written by every user", file), "chmod o-w "+file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, hint.Usage(err, "")
	case len(data) > maxFile:
		return nil, hint.Usage(fmt.Errorf("%s: is larger than %s", file, Size(maxFile)), "")
	}
	return data, nil
}

// writableByAll reads the permission bits, which say nothing on Windows.
func writableByAll(mode fs.FileMode) bool {
	return mode.Perm()&0o002 != 0 && runtime.GOOS != "windows"
}

// Marshal returns the config as YAML with every key. Parsed again it is the same config.
func (c *Config) Marshal() ([]byte, error) {
	return yaml.Dump(c,
		yaml.WithCompactSeqIndent(false), yaml.WithFlowSimpleCollections(),
		yaml.WithLineWidth(120), yaml.WithQuotePreference(yaml.QuoteDouble))
}
