package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syntap/cmd/internal/filter"
)

// Endings of files that completion offers.
var (
	configFiles  = []string{"yaml", "yml", "json"}
	captureFiles = []string{"pcap", "pcapng", "cap", "gz", "zst"}
	logFiles     = []string{"json", "gz"}
)

// completeValues has shells offer the values of flags and arguments, of a command and those below
// it. Flags are told apart by the names of their values.
func completeValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { completeFlag(cmd, flag) })
	switch cmd.Name() {
	case "exec":
		cmd.ValidArgsFunction = completeCommand
	case "replay":
		cmd.ValidArgsFunction = filesWith(captureFiles)
	case "log", "verify", "diff":
		cmd.ValidArgsFunction = filesWith(logFiles)
	case "man":
		cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	default:
		if cmd.HasParent() && cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	for _, sub := range cmd.Commands() {
		completeValues(sub)
	}
}

// offers are the values of flags that are no choice and have a few all the same.
var offers = map[string][]string{
	"mss": {"off", "pmtu"}, "df": {"preserve", "set", "clear", "enforce"},
	"at":      {"unix:/run/syntap/http.sock"},
	"outcome": filter.Outcomes(), "proto": filter.Protos(), "top": filter.GroupKeys(),
}

func completeFlag(cmd *cobra.Command, flag *pflag.Flag) {
	complete := cobra.CompletionFunc(cobra.NoFileCompletions)
	switch {
	case offers[flag.Name] != nil:
		complete = completeList(offers[flag.Name])
	case wordsOf(flag.Value) != nil:
		complete = completeList(wordsOf(flag.Value))
	case flag.Name == "filter" || flag.Name == "not":
		complete = completeFilter
	case flag.Name == "config":
		complete = filesWith(configFiles)
	case flag.Name == "write":
		complete = filesWith(captureFiles)
	case flag.Value.Type() == "FILE" || flag.Value.Type() == "PATH":
		return // any file
	case flag.NoOptDefVal != "":
		return // a switch
	}
	_ = cmd.RegisterFlagCompletionFunc(flag.Name, complete) // the flag exists, and has none yet
}

// wordsOf returns the words that a flag takes; nil where it takes any text.
func wordsOf(value pflag.Value) []string {
	switch v := value.(type) {
	case *choice:
		return v.words
	case named:
		return wordsOf(v.Value)
	case namedList:
		return wordsOf(v.Value)
	}
	return nil
}

// completeList offers words, also behind those of a list that is typed already.
func completeList(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		done := typed[:strings.LastIndexByte(typed, ',')+1]
		var all []string
		for _, word := range words {
			if !slices.Contains(strings.Split(done, ","), word) {
				all = append(all, done+word)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeFilter offers the keys for the last term of a filter, and the words for its last value.
func completeFilter(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	begin := typed[:strings.LastIndexAny(typed, " !")+1]
	term := typed[len(begin):]
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveKeepOrder
	var all []string
	if key, _, ok := strings.Cut(term, ":"); ok {
		done := typed[:strings.LastIndexAny(typed, ":,")+1]
		for _, word := range filter.Words(key) {
			all = append(all, done+word)
		}
		return all, directive
	}
	for _, key := range filter.Keys() {
		all = append(all, begin+key+":")
	}
	return all, directive
}

func filesWith(endings []string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}

// completeCommand offers the programs on the PATH for the command of exec, and files for its
// arguments.
func completeCommand(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || strings.ContainsRune(typed, filepath.Separator) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var all []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(dir) // a directory that is missing has no programs
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), typed) {
				continue
			}
			info, err := os.Stat(filepath.Join(dir, entry.Name()))
			if err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				all = append(all, entry.Name())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), cobra.ShellCompDirectiveNoFileComp
}
