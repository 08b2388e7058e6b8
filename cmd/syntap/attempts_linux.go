package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
)

// attemptFlags ask for the attempts of a command.
type attemptFlags struct{ explain string }

func addAttemptFlags(cmd *cobra.Command) *attemptFlags {
	a := new(attemptFlags)
	cmd.Flags().StringVar(&a.explain, "explain", "", "write to `FILE` a line of JSON for each denial: "+
		"the attempt, its process, the rule, and the flag that would allow it")
	return a
}

// follow has r tell its attempts, where rules or flags ask for them. The function that it returns
// is called when r is done; it tells on stderr which of them were denied.
func (a *attemptFlags) follow(r *app.Router, stderr io.Writer) (tell func() error, err error) {
	rules := r.Config.Egress.Compile() != nil
	if !rules && a.explain == "" {
		return func() error { return nil }, nil
	}
	var file *os.File
	var explain io.Writer
	if a.explain != "" {
		if file, err = os.Create(a.explain); err != nil {
			return nil, hint.Usage(fmt.Errorf("--explain: %w", err), "")
		}
		explain = file
	}
	denials := attempt.NewDenials(r.Config.Egress.Default == config.Deny, explain)
	r.Attempted = denials.Add
	return func() error {
		err := denials.Close()
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			err = fmt.Errorf("--explain: %w", err)
		}
		if line := denials.String(); line != "" {
			fmt.Fprintf(stderr, "syntap: %s\n", line)
		}
		return err
	}, nil
}
