package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/terminal"
)

// configFlag is -c of commands that also find a config by themselves.
type configFlag struct{ given string }

// Where a config is found without -c.
const (
	configVariable = "SYNTAP_CONFIG"
	installed      = "/etc/syntap/config.yaml"
)

func addFoundConfigFlag(cmd *cobra.Command) *configFlag {
	c := &configFlag{}
	cmd.Flags().StringVarP(&c.given, "config", "c", "", "read the config from `FILE` instead of that of $"+configVariable+", or "+installed+", or the built-in one")
	return c
}

// find returns the file to read, "" for the built-in config, and says on standard error which that is unless -c does.
func (c *configFlag) find(cmd *cobra.Command) string {
	if c.given != "" {
		return c.given
	}
	file, source := os.Getenv(configVariable), ", as $"+configVariable+" says"
	if file == "" {
		source = ""
		if _, err := os.Stat(installed); !errors.Is(err, fs.ErrNotExist) { // what else is wrong with it, reading says
			file = installed
		}
	}
	name := file
	if file == "" {
		name = "the built-in config"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "syntap: using %s%s\n", terminal.Clean(name), source)
	return file
}

// load reads the config.
func (c *configFlag) load(cmd *cobra.Command) (*config.Config, error) {
	return config.Load(c.find(cmd))
}
