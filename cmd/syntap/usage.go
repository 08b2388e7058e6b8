package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Columns of help. A terminal that has fewer than the least is left to break the lines.
const widestHelp, narrowestHelp = 100, 60

// printHelp prints what a command does, and its usage, no wider than a terminal.
func printHelp(cmd *cobra.Command) error {
	text := usage
	if out := cmd.OutOrStdout(); cmd.HasParent() {
		width := columnsOf(out)
		long := strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short))
		text = fill(long, width) + "\n\n" + usageOf(cmd, width)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}

// columnsOf returns the columns that help may take.
func columnsOf(out io.Writer) int {
	f, ok := out.(*os.File)
	if !ok {
		return widestHelp
	}
	columns, _, err := term.GetSize(f.Fd())
	if err != nil || columns < narrowestHelp {
		return widestHelp
	}
	return min(columns, widestHelp)
}

// fill breaks the lines of paragraphs that are wider than some columns anew.
func fill(text string, columns int) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		isLong := func(line string) bool { return len(line) > columns }
		if slices.ContainsFunc(strings.Split(p, "\n"), isLong) {
			paragraphs[i] = strings.Join(linesOf(strings.Fields(p), columns), "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

func linesOf(words []string, columns int) (lines []string) {
	for _, word := range words {
		if n := len(lines) - 1; n >= 0 && len(lines[n])+1+len(word) <= columns {
			lines[n] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// printUsage prints how a command is typed, its examples, the commands below it and its flags.
func printUsage(cmd *cobra.Command) error {
	_, err := fmt.Fprint(cmd.OutOrStderr(), usageOf(cmd, widestHelp))
	return err
}

func usageOf(cmd *cobra.Command, columns int) string {
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
		b.WriteString("\nFlags:\n" + flags.FlagUsagesWrapped(columns))
	}
	return b.String()
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

// Set refuses an empty value, which an unset variable of a shell leaves, and says what a number or
// a duration is. An empty filter takes all.
func (n named) Set(value string) error {
	if value == "" && n.name != "FILTER" {
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
