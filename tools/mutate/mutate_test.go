package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newTree returns a module with one function, of which a test knows one half.
func newTree(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":        "module example\n",
		"p/p.go":        "package p\n\nfunc greater(a, b int) int {\n\tif a > b {\n\t\treturn a\n\t}\n\treturn b\n}\n",
		"p/p_test.go":   "package p\n\nimport \"testing\"\n\nfunc TestGreater(t *testing.T) {\n\tif greater(2, 1) != 2 {\n\t\tt.Error()\n\t}\n}\n",
		"p/other.go":    "package p\n\nfunc twice(a int) int { return a + a }\n\nfunc double(a int) int { return a + a }\n",
		"p/old_test.go": "package p\n\n// a > b\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := exec.CommandContext(t.Context(), "git", "init", "-q", dir)
	if output, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, output)
	}
	return dir
}

func TestRun(t *testing.T) {
	dir := newTree(t)
	caught := mutation{folder: "p", behaviour: "the greater", old: "return a\n", new: "return b\n", tests: "./p"}
	missed := mutation{folder: "p", behaviour: "the second", old: "return b\n", new: "return a\n", tests: "./p"}
	excused, outdated := missed, caught
	excused.survives, outdated.survives = "the test is small", "it is out of date"
	twice := mutation{folder: "p", behaviour: "sum", old: "a + a", new: "a", tests: "./p"}
	gone := mutation{folder: "p", behaviour: "the least", old: "a < b", new: "a > b", tests: "./p"}
	wrong := mutation{folder: "p", behaviour: "the greater", old: "a > b", new: "a >", tests: "./p"}
	untested := mutation{folder: "p", behaviour: "the greater", old: "a > b", new: "a < b", tests: "./p", run: "TestNone"}
	for _, tt := range []struct {
		name string
		list []mutation
		ok   bool
		want []string // in the output or the error
	}{
		{"all is well", []mutation{caught, excused}, true, []string{"killed", "TestGreater", "the test is small"}},
		{"all is not", []mutation{missed, outdated}, false, []string{"SURVIVED", "NOTICED"}},
		{"lost", []mutation{twice, gone}, false, []string{"stands 2 times", "stands 0 times"}},
		{"not compiling", []mutation{wrong}, false, []string{"does not compile"}},
		{"without tests", []mutation{untested}, false, []string{`no test matches "TestNone"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			ok, err := run(t.Context(), &out, dir, tt.list, "", false)
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			if ok != tt.ok {
				t.Errorf("ok %t, want %t:\n%s", ok, tt.ok, text)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing:\n%s", want, text)
				}
			}
		})
	}
	whole, err := os.ReadFile(filepath.Join(dir, "p", "p.go"))
	if err != nil || !bytes.Contains(whole, []byte("a > b")) {
		t.Errorf("the tree itself was changed: %v\n%s", err, whole)
	}
}

// TestPackages: the package of the mutated file comes first, and one without a test to run never.
func TestPackages(t *testing.T) {
	t.Parallel()
	c := tree{dir: t.TempDir()}
	for dir, test := range map[string]string{"a": "TestFast", "a/b": "TestSlow", "a/b/testdata": "TestFast", "c": "TestFast"} {
		if err := os.MkdirAll(filepath.Join(c.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		text := "package p\n\nfunc " + test + "(t *testing.T) {}\n"
		if err := os.WriteFile(filepath.Join(c.dir, dir, "p_test.go"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ tests, run, mutated, want string }{
		{"./a/... ./c", "", "a", "./a ./a/b ./c"},
		{"./a/... ./c", "", "a/b", "./a/b ./a ./c"},
		{"./a/... ./c", "TestFast$", "c", "./c ./a"},
		{"./a ./c", "TestSlow", "a", ""},
	} {
		got, err := c.packages(mutation{tests: tt.tests, run: tt.run}, tt.mutated)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("packages of %q with %q: %q, %v, want %q", tt.tests, tt.run, got, err, tt.want)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []mutation{{folder: "tap", behaviour: "RST"}, {folder: "stack", behaviour: "FIN"}}
	if got, err := choose(all, "^tap$|FIN"); err != nil || len(got) != 2 {
		t.Errorf("choose: %v, %v, want both", got, err)
	}
	if _, err := choose(all, "SYN"); err == nil {
		t.Error("a pattern without a match is no error")
	}
}

// TestListIsTrue looks for the text of each mutation in the tree. Whether all compile, and whether
// the tests notice them, is for make mutate.
func TestListIsTrue(t *testing.T) {
	t.Parallel()
	here := tree{dir: "../.."}
	for _, m := range mutations() {
		if _, err := here.find(m); err != nil {
			t.Error(err)
		}
	}
}
