package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/namespace"
)

func newExecCommand() *cobra.Command {
	var file string
	var mtu int
	var hostLoopback, allowSetuid bool
	var hide []string
	var drain time.Duration
	var rules *ruleFlags
	var output *outputFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] -- CMD [ARG...]",
		Short: "Run one command that can only go through syntap",
		Long: `Exec runs one command in a user and network namespace of its own, whose only way out is a TUN interface. It needs no
root where user namespaces and /dev/net/tun are open to the user. Handshakes are printed to standard error; standard
input and output, the terminal, signals and the exit status are the command's own.

A UDP port of the command is open to the outside, as behind a home router: whoever learns its number on this host, which is
another one, can send to it. What this host itself or a denied address sends there does not reach the command, unless the
command has asked it. A port below 1024 is kept where it is free and may be had.`,
		Example: "  syntap exec -- curl -sS http://example.com/",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("want a command to run")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("mtu") {
				if mtu < 1280 || mtu > 65535 {
					return hint.Usage(fmt.Errorf("--mtu: %d is not between 1280 and 65535", mtu), "1280 is the least that IPv6 works with (RFC 8200 §5)")
				}
				c.TUN.MTU = mtu
			}
			if drain < 0 {
				return hint.Usage(fmt.Errorf("--drain: %v is negative", drain), "0s does not wait")
			}
			if err := rules.apply(cmd, c); err != nil {
				return err
			}
			if file == "" || output.given(cmd) {
				c.Tap.Log = output.sinks("-")
			} else {
				c.Tap.Log = append(c.Tap.Log, output.capture()...)
			}
			log, err := app.NewLogger(c.Log, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			handshakes, err := app.OpenLog(c, cmd.ErrOrStderr(), log)
			if err != nil {
				return err
			}
			app.LimitProcs(os.Getenv)
			status, err := app.Exec(cmd.Context(), app.Router{Config: c, Log: handshakes, Logger: log}, namespace.Options{
				Command: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, HostLoopback: hostLoopback,
				Hide: hide, AllowSetuid: allowSetuid,
			}, drain)
			if status != 0 && err != nil {
				return &hint.Error{Status: status, Err: err, Hint: hint.Of(err)}
			}
			if err != nil {
				return err
			}
			return hint.Exit(status)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags behind the command's name are the command's
	addConfigFlag(cmd, &file)
	cmd.Flags().IntVar(&mtu, "mtu", 1500, "MTU of the TUN interface in `BYTES`")
	cmd.Flags().BoolVar(&hostLoopback, "host-loopback", false, "let the gateway addresses (198.18.0.2 and fd53:7974::2) reach this host's 127.0.0.1 and ::1")
	cmd.Flags().DurationVar(&drain, "drain", app.DefaultDrain, "at the end, wait up to `DURATION` until what the command has sent is delivered; Ctrl-C ends the wait")
	cmd.Flags().StringArrayVar(&hide, "hide", nil, "hide the file, socket or directory at `PATH` from the command; may be repeated")
	cmd.Flags().BoolVar(&allowSetuid, "allow-setuid", false, "let set-user-id programs, such as sudo of an ordinary user, take their privileges inside")
	rules = addRuleFlags(cmd)
	output = addOutputFlags(cmd, "standard error")
	return cmd
}
