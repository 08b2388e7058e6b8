package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syntap/cmd/internal/manual"
)

// pages returns the manual pages of this program.
func pages(t *testing.T) []manual.Page {
	t.Helper()
	edition, err := thisEdition(func(string) string { return "1795651200" })
	if err != nil {
		t.Fatal(err)
	}
	return manual.Pages(describe(newRootCommand()), edition)
}

// TestPagesHaveNoMistakes has mandoc and groff, by man, look for mistakes in all pages.
func TestPagesHaveNoMistakes(t *testing.T) {
	t.Parallel()
	checkers := [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"man", "--warnings=w", "-P", "cat", "-l"}}
	for _, p := range pages(t) {
		file := filepath.Join(t.TempDir(), p.File())
		if err := os.WriteFile(file, []byte(p.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range checkers {
			if _, err := exec.LookPath(c[0]); err != nil {
				t.Logf("%s is not installed", c[0])
				continue
			}
			cmd := exec.Command(c[0], append(c[1:], file)...)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			complaints := stderr.String()
			if c[0] == "mandoc" {
				complaints += stdout.String()
			}
			if err != nil || complaints != "" {
				t.Errorf("%s: %v\n%s", strings.Join(c, " "), err, complaints)
			}
		}
	}
}

// TestPageOfEachFlag: a page of each command names its flags as they are typed.
func TestPageOfEachFlag(t *testing.T) {
	t.Parallel()
	texts := make(map[string]string)
	for _, p := range pages(t) {
		texts[p.File()] = p.Text
	}
	for page, want := range map[string]string{
		"syntap-exec.1":    `\fB\-\-mtu\fR \fIBYTES\fR`,
		"syntap-run.1":     `\fB\-c\fR, \fB\-\-config\fR \fIFILE\fR`,
		"syntap-log.1":     `\fB\-\-json\fR`,
		"syntap.1":         `\fBsyntap\-exec\fR(1)`,
		"syntap-config.5":  `\fBtun.mtu: 1500\fR`,
		"syntap-records.5": `\fBsynack_us\fR`,
	} {
		if !strings.Contains(texts[page], "\n"+want+"\n") {
			t.Errorf("%s lacks %s", page, want)
		}
	}
}

// TestExamplesAreCommandLines reads the command lines of the program in README.md, syntap(1) and
// the helps: their commands and flags exist.
func TestExamplesAreCommandLines(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(readme)}
	for _, p := range pages(t) {
		texts = append(texts, strings.NewReplacer(`\-`, "-", `\(aq`, "'").Replace(p.Text))
	}
	line := regexp.MustCompile(`(?m)^(?: *\$ | {4}|)(?:sudo )?syntap ([a-z]+.*)$|&& syntap ([a-z]+.*)$|\| syntap ([a-z]+.*)$`)
	found := 0
	for _, text := range texts {
		literal := strings.Join(regexp.MustCompile(`(?ms)^\.EX\n(.*?)^\.EE$`).FindAllString(text, -1), "\n")
		if !strings.HasPrefix(text, ".TH") {
			literal = strings.Join(regexp.MustCompile(`(?m)^ {4}.*$`).FindAllString(text, -1), "\n")
		}
		for _, m := range line.FindAllStringSubmatch(literal, -1) {
			words := m[1] + m[2] + m[3]
			words, _, _ = strings.Cut(words, " | ")
			words, _, _ = strings.Cut(words, " # ")
			found++
			checkCommandLine(t, words)
		}
	}
	if found < 20 {
		t.Errorf("%d command lines, want 20 or more", found)
	}
}

// checkCommandLine parses a command line, without its quotes.
func checkCommandLine(t *testing.T, words string) {
	t.Helper()
	cmd, args, err := newRootCommand().Find(strings.Fields(strings.ReplaceAll(words, "'", "")))
	if err == nil && !cmd.HasParent() {
		t.Errorf("syntap %s: no such command", words)
		return
	}
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err != nil {
		t.Errorf("syntap %s: %v", words, err)
	}
}
