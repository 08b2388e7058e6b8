package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/keeper"
)

// attemptFlags ask for the attempts of a command.
type attemptFlags struct{ explain, learn string }

func addAttemptFlags(cmd *cobra.Command) *attemptFlags {
	a := new(attemptFlags)
	cmd.Flags().StringVar(&a.explain, "explain", "", "write to `FILE` a line of JSON for each denial: "+
		"the attempt, its process, the rule, and the flag that would allow it")
	cmd.Flags().StringVar(&a.learn, "learn", "", "let the command reach all that no rule denies, and at "+
		"the end write to `FILE` a policy that allows this, for --policy")
	return a
}

// apply puts the flags into c, behind the rules.
func (a *attemptFlags) apply(c *config.Config) {
	if a.learn == "" {
		return
	}
	c.Egress.Default = config.Allow
	if c.Egress.Names == config.NamesAuto {
		c.Egress.Names = config.NamesVirtual // the policy has names
	}
}

// attempts are those of a command, and the files that get them.
type attempts struct {
	flags   *attemptFlags
	denials *attempt.Denials
	learned *attempt.Learned // nil without --learn
	explain *os.File         // nil without --explain
	policy  *os.File         // nil without --learn
	created bool             // the policy's file was not there before
}

// follow has e tell its attempts, where rules or flags ask for them; otherwise it returns nil.
func (a *attemptFlags) follow(e *keeper.Execution) (_ *attempts, err error) {
	if !e.Config.Egress.HasRules() && a.explain == "" && a.learn == "" {
		return nil, nil
	}
	for flag, file := range map[string]string{"--explain": a.explain, "--learn": a.learn} {
		if file == "-" {
			return nil, hint.Usage(fmt.Errorf("%s: - is no file", flag), "standard output is the command's: name a file")
		}
	}
	t := &attempts{flags: a}
	var explain io.Writer
	if a.explain != "" {
		if t.explain, err = os.Create(a.explain); err != nil {
			return nil, cannotWrite("--explain", a.explain, err)
		}
		explain = t.explain
	}
	t.denials = attempt.NewDenials(e.Config.Egress.Default == config.Deny, explain)
	e.Attempted = t.denials.Add
	if a.learn == "" {
		return t, nil
	}
	// What is there is kept until there is a policy to replace it.
	_, err = os.Lstat(a.learn)
	t.created = errors.Is(err, fs.ErrNotExist)
	if t.policy, err = os.OpenFile(a.learn, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
		return nil, cannotWrite("--learn", a.learn, err)
	}
	t.learned = attempt.NewLearned()
	e.Attempted = func(at *attempt.Attempt) {
		t.denials.Add(at)
		t.learned.Add(at)
	}
	e.Resolved = t.learned.Resolve
	return t, nil
}

// cannotWrite returns the error for the file of a flag.
func cannotWrite(flag, path string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		remedy = "mkdir -p " + filepath.Dir(path)
	case errors.Is(err, fs.ErrPermission):
		remedy = "name a file in a directory where you may write"
	}
	return hint.Usage(fmt.Errorf("%s: %w", flag, err), remedy)
}

// tell writes the files and tells on stderr of them and of the denials. failed is that the command
// may not have run. No attempt may come after; t may be nil.
func (t *attempts) tell(command []string, failed bool, stderr io.Writer) (err error) {
	if t == nil {
		return nil
	}
	if explainErr := t.denials.Close(); explainErr != nil {
		err = fmt.Errorf("--explain: %w", explainErr)
	}
	if t.explain != nil {
		err = errors.Join(err, t.explain.Close())
	}
	if line := t.denials.String(); line != "" {
		fmt.Fprintf(stderr, "syntap: %s\n", line)
	}
	if t.learned == nil {
		return err
	}
	text, rules := t.learned.Policy(command, time.Now())
	if failed && rules == 0 {
		return errors.Join(err, t.discardPolicy())
	}
	if learnErr := replace(t.policy, []byte(text)); learnErr != nil {
		return errors.Join(err, fmt.Errorf("--learn: %w", learnErr))
	}
	fmt.Fprintf(stderr, "syntap: %s learned; hint: --policy %s\n", counted(rules, "rule"), t.flags.learn)
	return err
}

// discardPolicy leaves the policy's file as it was.
func (t *attempts) discardPolicy() error {
	if t.created {
		_ = os.Remove(t.policy.Name())
	}
	return t.policy.Close()
}

// replace makes a policy the content of a file, and closes it.
func replace(f *os.File, policy []byte) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := config.ParsePolicy(f.Name(), policy); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil && !errors.Is(err, unix.EINVAL) { // a pipe has no length
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(policy))
	return err
}
