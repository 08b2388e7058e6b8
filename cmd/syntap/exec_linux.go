package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/journal"
	"syntap/cmd/internal/keeper"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/logger"
	"syntap/cmd/internal/namespace"
)

const execHelp = `Exec runs one command in a user and network namespace of its own, whose only way
out is a TUN interface. It needs no root where user namespaces and /dev/net/tun are
open to the user. Handshakes are printed to standard error; standard input and
output, the terminal, signals and the exit status are the command's own.

A UDP port of the command is open to the outside, as behind a home router, under
another number on this host: any machine that learns the number can send to it.
Datagrams from this host itself or from a denied address reach the command only as
answers. A port below 1024 keeps its number if it is free and the user may bind it.`

func newExecCommand() *cobra.Command {
	e := new(execCommand)
	cmd := &cobra.Command{
		Use:     "exec [flags] -- CMD [ARG...]",
		Short:   "Run one command that can only go through syntap",
		Long:    execHelp,
		Example: "  syntap exec -- curl -sS http://example.com/",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && e.netns == "" {
				return errors.New("want a command to run")
			}
			return nil
		},
		RunE: e.run,
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // flags after the command's name are the command's
	addConfigFlag(cmd, &e.file)
	f.IntVar(&e.mtu, "mtu", 1500, "MTU of the TUN interface in `BYTES`")
	f.BoolVar(&e.hostLoopback, "host-loopback", false, "let the gateways (198.18.0.2 "+
		"and fd53:7974::2) reach this host's 127.0.0.1 and ::1, where rules allow these gateways")
	f.DurationVar(&e.drain, "drain", keeper.DefaultDrain, "at the end, wait up to `DURATION` until "+
		"the command's data is delivered; Ctrl-C ends the wait")
	f.StringArrayVar(&e.hide, "hide", nil, "hide the file, socket or directory at `PATH` from the "+
		"command; may be repeated")
	f.StringVar(&e.netns, "netns", "", "run the command in the network namespace at `PATH`, which has "+
		"no other way out, and carry the traffic of all that is in it; without a command, until a signal; as root")
	f.BoolVar(&e.allowSetuid, "allow-setuid", false, "let set-user-id programs, such as sudo of an "+
		"ordinary user, take their privileges inside")
	e.policy = addPolicyFlags(cmd)
	e.names = newChoice("auto", "virtual", "dns", "off")
	f.Var(&e.names, "names", "how connections get names: virtual = each name that the command asks for has "+
		"addresses of its own, dns = by the answers that it gets; one of "+e.names.names())
	e.attempts = addAttemptFlags(cmd)
	e.rules = addRuleFlags(cmd)
	e.output = addOutputFlags(cmd, "standard error")
	return cmd
}

// execCommand are the flags of exec.
type execCommand struct {
	file                      string
	mtu                       int
	hostLoopback, allowSetuid bool
	hide                      []string
	netns                     string
	drain                     time.Duration
	policy                    *policyFlags
	names                     choice
	attempts                  *attemptFlags
	rules                     *ruleFlags
	output                    *outputFlags
}

// untilSignalled is the command where none is given.
var untilSignalled = []string{"sleep", "infinity"}

func (e *execCommand) run(cmd *cobra.Command, args []string) error {
	if err := errors.Join(limits.CheckAddressSpace(), limits.CheckDescriptors()); err != nil {
		return err
	}
	if len(args) == 0 {
		args = untilSignalled
	}
	c, err := e.config(cmd)
	if err != nil {
		return err
	}
	e.policy.warn(journal.Writer(cmd.ErrOrStderr(), journal.Warning))
	log, err := logger.New(c.Log, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	handshakes, err := keeper.OpenLog(c, cmd.ErrOrStderr(), log, nil)
	if err != nil {
		return err
	}
	if err := limits.CheckSignals(false); err != nil { // the command's limits stay as they are
		return err
	}
	limits.HalfOfProcessors(os.Getenv)
	execution := keeper.Execution{Config: c, Log: handshakes, Logger: log}
	attempts, err := e.attempts.follow(&execution)
	if err != nil {
		return err
	}
	status, err := keeper.Exec(cmd.Context(), execution, namespace.Options{
		Command: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		HostLoopback: e.hostLoopback, Hide: e.hide, AllowSetuid: e.allowSetuid,
		NetNS: e.netns,
	}, e.drain)
	err = errors.Join(err, attempts.tell(args, err != nil, cmd.ErrOrStderr()))
	if status != 0 && err != nil {
		return &hint.Error{Status: status, Err: err, Hint: hint.Of(err)}
	}
	if err != nil {
		return err
	}
	return hint.Exit(status)
}

// config reads the config and puts the flags into it.
func (e *execCommand) config(cmd *cobra.Command) (*config.Config, error) {
	c, err := config.Load(e.file)
	if err != nil {
		return nil, err
	}
	if cmd.Flags().Changed("mtu") {
		if e.mtu < 1280 || e.mtu > 65535 {
			return nil, hint.Usage(fmt.Errorf("--mtu: %d is not between 1280 and 65535", e.mtu),
				"1280 is the least that IPv6 works with (RFC 8200 §5)")
		}
		c.TUN.MTU = e.mtu
	}
	if e.drain < 0 {
		return nil, hint.Usage(fmt.Errorf("--drain: %v is negative", e.drain), "0s does not wait")
	}
	if err := e.policy.load(c); err != nil {
		return nil, err
	}
	if cmd.Flags().Changed("names") {
		c.Egress.Names = config.NameSource(e.names.value)
	}
	if err := e.policy.apply(c); err != nil {
		return nil, err
	}
	e.attempts.apply(c)
	if err := e.rules.apply(cmd, c); err != nil {
		return nil, err
	}
	if e.file == "" || e.output.given(cmd) {
		c.Tap.Log = e.output.sinks("-")
	} else {
		c.Tap.Log = append(c.Tap.Log, e.output.capture()...)
	}
	return c, nil
}
