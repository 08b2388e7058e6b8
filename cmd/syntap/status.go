package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/web"
)

func newStatusCommand() *cobra.Command {
	var ask *askFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [-c FILE | --at ADDR] [--json]",
		Short: "Tell what a running syntap has done and holds",
		Long: `Ask a running syntap for its uptime, flows, handshakes by outcome, and drops by reason.
It has to run with http.listen in its config.`,
		Example: "  syntap status --at 127.0.0.1:9153",
		Args:    noArgs,

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
				if text, err = json.MarshalIndent(status, "", "  "); err != nil {
					return fmt.Errorf("print status: %w", err)
				}
				text = append(text, '\n')
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	ask = addAskFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, that of /api/status")
	return cmd
}

// askFlags say where the running instance listens. Status and top have them in common.
type askFlags struct{ file, at string }

func addAskFlags(cmd *cobra.Command) *askFlags {
	a := &askFlags{}
	cmd.Flags().StringVarP(&a.file, "config", "c", "", "ask the syntap that runs with the config `FILE`")
	cmd.Flags().StringVar(&a.at, "at", "", "ask the syntap whose http.listen is `ADDR`; without a flag that of $SYNTAP_CONFIG or "+config.Installed+", else "+usualSocket+" or "+usualPort)
	return a
}

// The addresses that examples have for http.listen, where an instance is looked for first.
const (
	usualSocket = "unix:/run/syntap/http.sock"
	usualPort   = "127.0.0.1:9153"
)

func (a *askFlags) client(cmd *cobra.Command) (*web.Client, error) {
	address := a.at
	if a.file != "" && a.at != "" {
		return nil, hint.Usage(errors.New("-c and --at both say whom to ask"), "give one of them")
	}
	if a.file == "" && a.at == "" && config.Find(os.Getenv) != "" {
		a.file = usualConfig(cmd, "")
	}
	switch {
	case a.file != "":
		c, err := config.Load(a.file)
		if err != nil {
			return nil, err
		}
		if address = c.HTTP.Listen; address == "" {
			return nil, hint.Fail(fmt.Errorf("%s: http.listen is off: a syntap that runs with it cannot be asked", a.file), "set http.listen, for example to "+usualPort)
		}
	case address == "":
		address = usualSocket
		if _, err := os.Stat(address[len("unix:"):]); errors.Is(err, os.ErrNotExist) {
			address = usualPort
		}
	}
	return web.NewClient(address)
}
