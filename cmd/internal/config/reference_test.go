package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"syntap/configs"
)

const referenceFile = "../../../configs/reference.yaml"

func TestDefaults(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data string
	}{
		{"empty", ""},
		{"comments", "# nothing\n\n# here\n"},
		{"null", "---\n"},
		{"empty mapping", "{}"},
		{"empty sections", "tun:\nroute: {}\negress: ~\ntap:\nmss:\ndf: []\nlimits:\nhttp:\nlog:\n"},
		{"empty values", "tun: {mtu: , addresses: }\nroute: {include: ~}\ntap: {log: }\n"},
		{"default.yaml", string(configs.Default())},
		{"reference.yaml", string(reference)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse("test.yaml", []byte(tt.data))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(Default(), got, compare); diff != "" {
				t.Errorf("Parse is not the default (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReferenceNamesEveryKey looks for each key of Config in reference.yaml, and reads the examples
// in its comments.
func TestReferenceNamesEveryKey(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile(`(?m)^( *)# (- \{)`).ReplaceAllString(string(reference), "$1$2")
	d := newDocument("reference.yaml")
	d.parse([]byte(examples))
	if err := report(d.problems); err != nil {
		t.Fatalf("the examples in reference.yaml are wrong:\n%v", err)
	}

	given := make(map[string]bool)
	addKeys(given, d.root, "")
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if !given[key] {
			t.Errorf("reference.yaml does not name %s", key)
		}
	}
}

// addKeys adds the keys of all values in a value of a document.
func addKeys(given map[string]bool, n *yaml.Node, key string) {
	given[key] = true
	for i, content := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			addKeys(given, content, key+"[]")
		case i%2 == 1:
			addKeys(given, content, under(key, n.Content[i-1].Value))
		}
	}
}

// keysOf lists the keys of the values in a struct of the config.
func keysOf(structure reflect.Type, prefix string) []string {
	var all []string
	for field := range structure.Fields() {
		name, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		typ, key := field.Type, prefix+name
		if typ.Kind() == reflect.Slice {
			if typ.Elem().PkgPath() == structure.PkgPath() {
				typ, key = typ.Elem(), key+"[]"
			}
		}
		switch {
		case name == "-":
		case option == "inline":
			all = append(all, keysOf(typ, prefix)...)
		case typ.Kind() == reflect.Struct && name != "" && typ.Field(0).Tag.Get("yaml") != "":
			all = append(all, keysOf(typ, key+".")...)
		default:
			all = append(all, strings.TrimSuffix(key, "[]"))
		}
	}
	return all
}

// TestExamples reads the examples that come with the program.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../configs/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("Glob = %q, %v, want the configs", files, err)
	}
	for _, file := range files {
		if _, err := Load(file); err != nil {
			t.Errorf("Load(%s): %v", file, err)
		}
	}
}
