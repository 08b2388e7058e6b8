package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	widestComment = 100 // columns, a tab being 4
	widestCode    = 140
	commonestWhat = 1000 // words of comment for each "what"
)

var (
	personPattern = regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|anybody)\b`)
	whatPattern   = regexp.MustCompile(`(?i)\bwhat\b`)
	wordPattern   = regexp.MustCompile(`[A-Za-z][A-Za-z']*`)
	goFilePattern = regexp.MustCompile(`\b[a-z0-9_]+(/[a-z0-9_]+)*\.go\b`)
)

// TestProse holds the wording of comments: CONTRIBUTING.md has the rules.
func TestProse(t *testing.T) {
	t.Parallel()
	words, whats := 0, []string(nil)
	eachGoFile(t, func(file string, source []byte) {
		for i, line := range strings.Split(string(source), "\n") {
			width, widest := len([]rune(strings.ReplaceAll(line, "\t", "    "))), widestCode
			if strings.HasPrefix(strings.TrimSpace(line), "// ") && !isDrawing(line) {
				widest = widestComment
			}
			isTest := strings.HasSuffix(file, "_test.go") // whose tables have long rows
			if width > widest && (!isTest || widest == widestComment) {
				t.Errorf("%s:%d has %d columns, want %d at most", file, i+1, width, widest)
			}
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, file, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range parsed.Comments {
			for _, comment := range group.List {
				place := fset.Position(comment.Pos()).String()
				words += len(wordPattern.FindAllString(comment.Text, -1))
				if found := personPattern.FindString(comment.Text); found != "" {
					t.Errorf("%s says %q: name the program or the person", place, found)
				}
				if whatPattern.MatchString(comment.Text) {
					whats = append(whats, place+": "+comment.Text)
				}
			}
		}
	})
	if len(whats)*commonestWhat > words {
		t.Errorf("%d comments of %d words say \"what\": name the thing\n%s", len(whats), words, strings.Join(whats, "\n"))
	}
}

// isDrawing reports whether a line of comment is part of a drawing or a table.
func isDrawing(line string) bool {
	return strings.HasPrefix(strings.TrimSpace(line), "//\t") || strings.ContainsAny(line, "─│▶◀═►◄|")
}

// TestDocsNameFiles looks for the files that CONTRIBUTING.md and the doc.go of each package name.
func TestDocsNameFiles(t *testing.T) {
	t.Parallel()
	const root = "../.."
	contributing, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range goFilePattern.FindAllString(string(contributing), -1) {
		if strings.Contains(name, "/") && !exists(filepath.Join(root, name)) {
			t.Errorf("CONTRIBUTING.md names %s, which is not there", name)
		}
	}
	eachGoFile(t, func(file string, source []byte) {
		if path.Base(file) != "doc.go" {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range goFilePattern.FindAllString(parsed.Doc.Text(), -1) {
			beside, fromRoot := filepath.Join(filepath.Dir(file), name), filepath.Join(root, name)
			if !exists(beside) && !exists(fromRoot) {
				t.Errorf("%s names %s, which is not there", file, name)
			}
		}
	})
}

// TestMap holds CONTRIBUTING.md's map against the tree: each package has a row, and each function
// stands in the file that the map names for it.
func TestMap(t *testing.T) {
	t.Parallel()
	const root = "../.."
	b, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	contributing := string(b)
	seen := make(map[string]bool)
	eachGoFile(t, func(file string, _ []byte) {
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.ToSlash(dir)
		if !seen[dir] && !strings.Contains(contributing, "\n| `"+dir+"` | ") {
			t.Errorf("CONTRIBUTING.md has no row for %s", dir)
		}
		seen[dir] = true
	})
	for _, m := range mapRow.FindAllStringSubmatch(contributing, -1) {
		if !exists(filepath.Join(root, m[1])) {
			t.Errorf("CONTRIBUTING.md has a row for %s, which is not there", m[1])
		}
	}
	var places [][2]string // functions and files
	for _, m := range funcInFile.FindAllStringSubmatch(contributing, -1) {
		places = append(places, [2]string{m[2], m[1]})
	}
	for _, m := range fileOfFunc.FindAllStringSubmatch(contributing, -1) {
		places = append(places, [2]string{m[1], m[2]})
	}
	for _, place := range places {
		source, err := os.ReadFile(filepath.Join(root, place[1]))
		declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|var |\t)` + place[0] + `\b`)
		if err != nil || !declared.Match(source) {
			t.Errorf("CONTRIBUTING.md looks for %s in %s, where it is not", place[0], place[1])
		}
	}
	if len(places) < 10 {
		t.Errorf("%d functions found in CONTRIBUTING.md", len(places))
	}
}

var (
	mapRow     = regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\| ")
	funcInFile = regexp.MustCompile("`([a-z0-9/_]+\\.go)` \\(`(\\w+)`\\)")
	fileOfFunc = regexp.MustCompile("`(?:\\w+\\.)?(\\w+)` \\(`([a-z0-9/_]+\\.go)`\\)")
)

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// eachGoFile calls f with all Go files of the module, tests too.
func eachGoFile(t *testing.T, f func(file string, source []byte)) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && file != root):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		source, err := os.ReadFile(file)
		if err == nil {
			f(file, source)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
