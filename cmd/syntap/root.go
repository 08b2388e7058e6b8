package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
	"syntap/cmd/internal/version"
)

const usage = `syntap records and filters the connections of this host, or of one command. It
routes TCP, UDP and ping from a TUN interface to ordinary sockets, and prints
every TCP handshake as tcpdump does.

Usage:
    syntap demo                   explain one handshake; needs no network
    syntap exec [flags] -- CMD    run one command with syntap as its network
    syntap run [flags]            route this host's traffic
    syntap replay [flags] FILE    print the handshakes of a pcap or pcapng file
    syntap check [-c FILE]        check a config and print it in full
    syntap mtu HOST[:PORT]        find path MTU black holes and their cure
    syntap plan [-c FILE]         print the changes that run would make
    syntap cleanup                undo the changes of a dead run
    syntap status [flags]         show the state of a running syntap
    syntap top [flags]            show its connections as they happen
    syntap log [flags] [FILE...]  search JSON logs
    syntap diff OLD NEW           show what is new in a JSON log
    syntap verify FILE...         check the hash chain of JSON logs
    syntap fleet [flags]          list the routers whose logs are in a store
    syntap schema                 print the JSON Schema of the records

    syntap version                print the version
    syntap man [PAGE | DIR]       print a man page, or all of them to DIR
    syntap completion SHELL       print completions for bash, zsh or fish

"syntap COMMAND --help" explains a command.

Example:
    $ syntap exec -- curl -sS http://example.com/
`

func newRootCommand() *cobra.Command {
	var asksVersion bool
	root := &cobra.Command{
		Use:               "syntap",
		Short:             "Userspace router that records and filters connections, with a TCP handshake tap",
		Args:              knownCommand,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asksVersion {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "syntap %s\n", version.String())
				return err
			}
			return cmd.Help()
		},
		// At most two slips of the finger away from a command is taken for that command.
		SuggestionsMinimumDistance: 1,
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if err := printHelp(cmd); err != nil { // cobra passes it on to no caller
			os.Exit(hint.Report(cmd.ErrOrStderr(), err))
		}
	})
	root.AddCommand(linuxCommands()...)
	root.AddCommand(
		newReplayCommand(),
		newCheckCommand(),
		newStatusCommand(),
		newTopCommand(),
		newLogCommand(),
		newDiffCommand(),
		newVerifyCommand(),
		newFleetCommand(),
		newSchemaCommand(),
		newVersionCommand(),
		newManCommand(),
	)
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultCompletionCmd()
	root.Flags().BoolVar(&asksVersion, "version", false, "print the version")
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(printUsage)
	checkArgs(root)
	nameValues(root)
	completeValues(root)
	return root
}

// knownCommand refuses the rest of the command line when no command of that name exists.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	starts := append(root.SuggestionsFor(args[0]), "") // names that begin so, the last is none
	switch near := cmp.Or(hint.Nearest(args[0], names), starts[0]); {
	case args[0] == "":
	case near == args[0]:
		return hint.Usage(fmt.Errorf("the command %q stands behind --", near), "leave out the --")
	case near != "":
		return hint.Usage(err, fmt.Sprintf("did you mean %q?", near))
	}
	return usageError(root, err)
}

// newHelpCommand is cobra's own, but for a command that does not exist: that is a usage error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "help [COMMAND]",
		Short:                 "Print what a command does",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			topic, rest, err := root.Find(args)
			if err != nil {
				return usageError(root, err)
			}
			if topic == root {
				if err := knownCommand(root, rest); err != nil {
					return err
				}
			}
			return topic.Help()
		},
	}
}

// checkArgs turns errors in the arguments of cmd and all commands below it into usage errors. A
// command that only has commands below it prints its help, and does not take the name of one that
// does not exist.
func checkArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError(cmd, err)
			}
			return nil
		}
	}
	if !cmd.Runnable() {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, sub := range cmd.Commands() {
		checkArgs(sub)
	}
}

// noArgs refuses every argument.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// usageError gives err the status of a usage error and, unless it has a hint, one that leads to the
// command's help.
func usageError(cmd *cobra.Command, err error) error {
	if hint.Of(err) != "" {
		return err
	}
	return hint.Usage(err, fmt.Sprintf("run %q", cmd.CommandPath()+" --help"))
}

// flagError is a usage error that names the flag that may be meant.
func flagError(cmd *cobra.Command, err error) error {
	unknown := (*pflag.NotExistError)(nil)
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := hint.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return hint.Usage(err, fmt.Sprintf("did you mean %q?", "--"+near))
		}
	}
	return usageError(cmd, err)
}

// addConfigFlag adds the flag that names a config file.
func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "",
		"read the config from `FILE` instead of the built-in one")
}

// addUsualConfigFlag adds the flag to a command that looks for a config where it names none:
// usualConfig.
func addUsualConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "",
		"read the config from `FILE`, instead of $SYNTAP_CONFIG, "+config.Installed+" or the built-in one")
}

// usualConfig returns the config to load, and says which, unless the command line names one.
func usualConfig(cmd *cobra.Command, file string) string {
	if file != "" {
		return file
	}
	name := "the built-in one"
	if file = config.Find(os.Getenv); file != "" {
		name = terminal.Clean(file)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "syntap: config: %s\n", name)
	return file
}
