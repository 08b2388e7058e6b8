package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v4"
)

// plainPolicies have, by lines, all that scanPlain reads.
var plainPolicies = []string{
	string(manyRules(3)),
	"egress:\n  rules:\n    - {name: a}\n",
	"# a comment\n\negress:\n  # another\n  default: deny\n  deny: [loopback, \"10.0.0.0/8\"]\n  rules:\n" +
		"  # here\n    - {name: \"*.example.com\", ports: [21, 1024-65535], proto: tcp, verdict: allow}\n\n" +
		"    - {dst: [\"2001:db8::1\", 192.0.2.0/24], reason: \"of: {course}, # or [not]\", verdict: deny}\n  names: dns\n  strict: true\n",
	"egress:\n  rules:\n    - {verdict: allow, verdict: deny}\n  default: maybe\n  default: deny", // mistakes
}

// otherPolicies are not for scanPlain: most mean something else in YAML than by their lines.
var otherPolicies = []string{
	"", "egress:", "egress:\n  rules:\n", "egress: \n  rules:\n    - {name: a}\n",
	"a: \"\negress:\n  rules:\n    - {name: a}\n\"\n",
	"egress:\n  rules:\n    - {name: a}\negress:\n  rules:\n    - {name: a}\n",
	"egress:\n  rules:\n    - {name: a}\n  default: deny\n    - {name: b}\n",
	"egress:\n  rules:\n    - {name: a}\n  rules:\n    - {name: b}\n",
	"egress:\n  rules:\n    - {name: null}\n", "egress:\n  rules:\n    - {name: ~}\n", "egress:\n  rules:\n    - {name: *.a}\n",
	"egress:\n  rules:\n    - {name: a} # b\n", "egress:\n  rules:\n    - {name: \"a\\\"b\"}\n", "egress:\n  rules:\n    - {name: a b}\n",
	"egress:\n  rules:\n  - {name: a}\n", "egress:\n  rules:\n    - {name: [a, ]}\n", "egress:\n  rules:\n    - {}\n",
	"egress:\n  rules:\n    - {name: [a]]}\n", "egress:\n  rules:\n    - {name: !!str a}\n", "egress:\n  rules:\n    - {name: \"a\"b}\n",
	"egress:\r\n  rules:\r\n    - {name: a}\r\n", "egress:\n\trules:\n    - {name: a}\n", "egress:\n  rules: |\n    - {name: a}\n",
	"egress:\n  rules:\n    - {name: a}\n--- \n", "# \x80\negress:\n  rules:\n    - {name: a}\n", "egress:\n  rules:\n    - {a: b}}\n",
}

// byLibrary returns the document as the YAML library reads it; nil where it does not.
func byLibrary(data []byte) *yaml.Node {
	var content, second yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil || loader.Load(&content) != nil || loader.Load(&second) == nil {
		return nil
	}
	return content.Content[0]
}

// otherwise reports how scanPlain reads a document otherwise than the library, "" where it does
// not.
func otherwise(want, got *yaml.Node) string {
	if want == nil || got == nil {
		return "the library does not read it"
	}
	style, isNull := want.Style&yaml.TaggedStyle, want.ShortTag() == "!!null"
	if want.Kind != got.Kind || want.Value != got.Value || want.Line != got.Line || want.Column != got.Column ||
		len(want.Content) != len(got.Content) || style != 0 || isNull {
		return fmt.Sprintf("%+v, want %+v", *got, *want)
	}
	for i := range want.Content {
		if text := otherwise(want.Content[i], got.Content[i]); text != "" {
			return text
		}
	}
	return ""
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, text := range plainPolicies {
		got := scanPlain([]byte(text))
		if got == nil {
			t.Errorf("%q is not plain", text)
		} else if text := otherwise(byLibrary([]byte(text)), got); text != "" {
			t.Error(text)
		}
	}
	for _, text := range otherPolicies {
		if scanPlain([]byte(text)) != nil {
			t.Errorf("%q is plain", text)
		}
	}
	files, err := filepath.Glob("../../../configs/policies/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if scanPlain(data) == nil {
			t.Errorf("%s is not plain", file)
		}
	}
}

// FuzzPlain: whatever scanPlain reads, the YAML library reads alike.
func FuzzPlain(f *testing.F) {
	for _, text := range append(plainPolicies, otherPolicies...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := scanPlain(data); got != nil {
			if text := otherwise(byLibrary(data), got); text != "" {
				t.Error(text)
			}
		}
	})
}
