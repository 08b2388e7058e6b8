package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const widestHelp = 100 // columns

// printHelp prints what a command does, and its usage.
func printHelp(cmd *cobra.Command) error {
	text := usage
	if cmd.HasParent() {
		text = strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short)) + "\n\n" + cmd.UsageString()
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}

// printUsage prints how a command is typed, its examples, the commands below it and its flags.
func printUsage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:")
	if cmd.Runnable() {
		b.WriteString("\n  " + cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n  " + cmd.CommandPath() + " [command]")
	}
	b.WriteByte('\n')
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + cmd.Example + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nAvailable Commands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		b.WriteString("\nFlags:\n" + flags.FlagUsagesWrapped(widestHelp))
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// nameValues has each flag of a command, and of those below it, name its value by its type instead
// of by backticks in its usage, which completions and man pages print as they stand.
func nameValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		name, usage := pflag.UnquoteUsage(flag)
		if name == "" || usage == flag.Usage { // a switch, or a value that has its name
			return
		}
		flag.Usage = usage
		if flag.DefValue == "[]" || flag.DefValue == "0" {
			flag.DefValue = ""
		}
		value := named{flag.Value, name}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			flag.Value = namedList{value, list}
		} else {
			flag.Value = value
		}
	})
	for _, sub := range cmd.Commands() {
		nameValues(sub)
	}
}

// named is a flag's value with a name for help.
type named struct {
	pflag.Value
	name string
}

func (n named) Type() string { return n.name }

// Set refuses an empty name of a file, which an unset variable of a shell leaves, and says what a
// number or a duration is.
func (n named) Set(value string) error {
	if value == "" && (n.name == "FILE" || n.name == "PATH") {
		return errors.New("is empty")
	}
	err := n.Value.Set(value)
	switch typ := n.Value.Type(); {
	case err == nil:
		return nil
	case typ == "duration":
		return errors.New("is no duration, such as 500ms, 10s or 5m")
	case errors.Is(err, strconv.ErrRange):
		return errors.New("is out of range")
	case typ == "int":
		return errors.New("is no whole number")
	}
	return err
}

// namedList is one that may be given several times.
type namedList struct {
	named
	pflag.SliceValue
}
