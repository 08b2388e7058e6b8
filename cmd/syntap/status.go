package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
	"syntap/cmd/internal/web"
)

func newStatusCommand() *cobra.Command {
	var ask *askFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [-c FILE | --at ADDR] [--json]",
		Short: "Show the state of a running syntap",
		Long: `Ask a running syntap for its uptime, the rights of its processes, flows, handshakes by
outcome, and drops by reason.
It must run with http.listen in its config. Without a flag, that must be a Unix socket
owned by root or by the user.`,
		Example: `  syntap status
  syntap status --at 127.0.0.1:9153`,
		Args: noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := ask.client(cmd)
			if err != nil {
				return err
			}
			client.Timeout(5 * time.Second)
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			text := []byte(status.Report())
			if asJSON {
				if text, err = indented(status); err != nil {
					return fmt.Errorf("print status: %w", err)
				}
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	ask = addAskFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, that of /api/status")
	return cmd
}

// indented returns a value as JSON for people.
func indented(v any) ([]byte, error) {
	compact, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, terminal.CleanJSON(compact), "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// askFlags say where the running instance listens. Status and top have them in common.
type askFlags struct{ file, at string }

func addAskFlags(cmd *cobra.Command) *askFlags {
	a := &askFlags{}
	addUsualConfigFlag(cmd, &a.file)
	cmd.Flags().StringVar(&a.at, "at", "", "ask the syntap whose http.listen is `ADDR`")
	return a
}

// usualSocket is the address that examples have for http.listen.
const usualSocket = "unix:/run/syntap/http.sock"

// client returns a client for the address that the flags name, or that the config has. On a TCP
// port any user may listen, so one is asked only where the user names it, or the config that has
// it.
func (a *askFlags) client(cmd *cobra.Command) (*web.Client, error) {
	if a.at != "" {
		if a.file != "" {
			return nil, hint.Usage(errors.New("-c and --at both say whom to ask"), "give one of them")
		}
		return web.NewClient(a.at)
	}
	file := usualConfig(cmd, a.file)
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	address := c.HTTP.Listen
	switch {
	case address == "" && file == "":
		address = usualSocket
	case address == "":
		return nil, hint.Fail(fmt.Errorf("%s: http.listen is off: a syntap that runs with it cannot be asked", file),
			"set http.listen, for example to "+usualSocket)
	case a.file == "" && !strings.HasPrefix(address, "unix:"):
		return nil, hint.Fail(fmt.Errorf("%s: http.listen is %s, where any user may listen while syntap does not", file, address),
			"ask it with --at "+address+", or set http.listen to "+usualSocket)
	}
	return web.NewClient(address)
}
