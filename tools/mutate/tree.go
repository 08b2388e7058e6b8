package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// tree is a copy of the tree that may be broken.
type tree struct{ dir string }

// place is where the text of a mutation stands.
type place struct {
	file string // as seen from the top of the tree
	at   int    // bytes
}

// verdict says what became of a mutation.
type verdict string

const (
	killed   verdict = "killed"
	survived verdict = "SURVIVED"
	excused  verdict = "excused" // it survives, for a reason that the list gives
	noticed  verdict = "NOTICED" // the list is out of date
)

// copyTree copies the files that git knows of, as they are now, and those that it does not ignore.
func copyTree(ctx context.Context, from string) (*tree, error) {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of the tree: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	t := &tree{dir: dir}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			t.remove()
			return nil, err
		}
	}
	return t, nil
}

// copyFile copies a regular file. It leaves out one that has been deleted.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

func (t *tree) remove() { _ = os.RemoveAll(t.dir) }

// find looks for the text of a mutation in its folder and the folders below, but not in tests.
func (t *tree) find(m mutation) (found place, err error) {
	times := 0
	root := filepath.Join(t.dir, m.folder)
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(b, []byte(m.old)); n > 0 {
			times += n
			file, err := filepath.Rel(t.dir, path)
			if err != nil {
				return err
			}
			found = place{file: file, at: bytes.Index(b, []byte(m.old))}
		}
		return nil
	})
	if err == nil && times != 1 {
		err = fmt.Errorf("%s: %s: the text stands %d times, not once: %q", m.folder, m.behaviour, times, m.old)
	}
	return found, err
}

// passes reports an error if tests that are to notice mutations fail without one.
func (t *tree) passes(ctx context.Context, all []mutation) error {
	patterns := make(map[string][]string) // of tests, by packages
	for _, m := range all {
		patterns[m.tests] = append(patterns[m.tests], m.run)
	}
	for tests, runs := range patterns {
		m := mutation{tests: tests, run: strings.Join(runs, "|")}
		if slices.Contains(runs, "") {
			m.run = ""
		}
		if output, err := t.test(ctx, m); err != nil {
			return fmt.Errorf("%s fails without a mutation: %w\n%s", tests, err, output)
		}
	}
	return nil
}

var failedTest = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)|^panic: (.*)|^fatal error: (.*)`)

// with calls run while a mutation is applied.
func (t *tree) with(m mutation, at place, run func()) (err error) {
	path := filepath.Join(t.dir, at.file)
	whole, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	broken := string(whole[:at.at]) + m.new + string(whole[at.at+len(m.old):])
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		return err
	}
	run()
	return os.WriteFile(path, whole, 0o644)
}

// compiles reports whether the product compiles with a mutation.
func (t *tree) compiles(ctx context.Context, m mutation, at place) (output []byte, err error) {
	var failure error
	err = t.with(m, at, func() {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "./"+filepath.Dir(at.file))
		build.Dir = t.dir
		output, failure = build.CombinedOutput()
	})
	return output, errors.Join(failure, err)
}

// try runs the tests that are to notice a mutation.
func (t *tree) try(ctx context.Context, m mutation, at place) (v verdict, detail string, err error) {
	var output []byte
	var failure error
	packages, err := t.packages(m, filepath.Dir(at.file))
	if err != nil {
		return "", "", err
	}
	err = t.with(m, at, func() {
		for _, one := range packages { // mostly the first notices, and linking all takes longest
			m.tests = one
			more, err := t.test(ctx, m)
			if output = append(output, more...); err != nil {
				failure = err
				return
			}
		}
	})
	if err != nil {
		return "", "", err
	}
	switch {
	case ctx.Err() != nil:
		return "", "", ctx.Err()
	case failure == nil && !ranTests(output):
		return noticed, fmt.Sprintf("no test matches %q", m.run), nil
	case failure == nil:
		return survived, strings.Join(packages, " "), nil
	}
	detail = "no test named"
	if hit := failedTest.FindSubmatch(output); hit != nil {
		detail = string(bytes.Join(hit[1:], nil))
	}
	return killed, detail, nil
}

var testName = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// packages returns the packages of m.tests that have a test to run, that of the mutated file first.
func (t *tree) packages(m mutation, mutated string) (all []string, err error) {
	run, err := regexp.Compile(strings.SplitN(m.run, "/", 2)[0])
	if err != nil {
		return nil, err
	}
	for pattern := range strings.FieldsSeq(m.tests) {
		folder, below := strings.CutSuffix(pattern, "/...")
		root := filepath.Join(t.dir, folder)
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if path != root && (!below || entry.Name() == "testdata") {
					return fs.SkipDir
				}
				return nil
			}
			dir, err := filepath.Rel(t.dir, filepath.Dir(path))
			one := "./" + filepath.ToSlash(dir)
			if err != nil || !strings.HasSuffix(path, "_test.go") || slices.Contains(all, one) {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, name := range testName.FindAllSubmatch(b, -1) {
				if run.Match(name[1]) {
					all = append(all, one)
					break
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	own := "./" + filepath.ToSlash(mutated)
	slices.SortStableFunc(all, func(a, b string) int {
		switch own {
		case b:
			return 1
		case a:
			return -1
		}
		return 0
	})
	return all, nil
}

// test runs the tests that are to notice a mutation. Paths are trimmed, so that all copies of the
// tree share what is built.
func (t *tree) test(ctx context.Context, m mutation) (output []byte, err error) {
	args := []string{"test", "-trimpath", "-count=1", "-failfast", "-timeout=5m"}
	if m.run != "" {
		args = append(args, "-run="+m.run)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, strings.Fields(m.tests)...)...)
	cmd.Dir = t.dir
	return cmd.CombinedOutput()
}

// ranTests reports whether a package had tests to run.
func ranTests(output []byte) bool {
	for line := range bytes.Lines(output) {
		if bytes.HasPrefix(line, []byte("ok")) && !bytes.Contains(line, []byte("[no tests to run]")) {
			return true
		}
	}
	return false
}
