package record

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/record/recordtest"
	"syntap/cmd/internal/record/schema"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// definition is a schema, with those of its keywords that the tests look at.
type definition struct {
	Ref               string `json:"$ref"`
	Type, Description string
	Const             any
	Enum              []any
	Minimum, Maximum  *float64
	Items             *definition
	Properties        map[string]definition
	Required          []string
	Defs              map[string]definition `json:"$defs"`
	OneOf             []definition
}

func readSchema(t *testing.T) (root definition) {
	t.Helper()
	if err := json.Unmarshal([]byte(schema.Text()), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// resolve follows a reference to a definition; keywords beside it come first.
func (d *definition) resolve(root *definition) (resolved definition, name string) {
	if d.Ref == "" {
		return *d, ""
	}
	name = strings.TrimPrefix(d.Ref, "#/$defs/")
	resolved = root.Defs[name]
	if d.Description != "" {
		resolved.Description = d.Description
	}
	return resolved, name
}

// words returns the values of an enumeration of strings.
func (d definition) words() (all []string) {
	for _, word := range d.Enum {
		all = append(all, word.(string))
	}
	return all
}

// recordTypes are the Go types of records by msg, partTypes those of objects in them by their name
// in the schema.
func recordTypes() map[string]reflect.Type {
	return map[string]reflect.Type{
		"handshake": reflect.TypeFor[Handshake](), "datagram": reflect.TypeFor[Datagram](), "flow": reflect.TypeFor[Flow](),
		"finding": reflect.TypeFor[Finding](), "gap": reflect.TypeFor[Gap](), "end": reflect.TypeFor[End](),
	}
}

func partTypes() map[string]reflect.Type {
	return map[string]reflect.Type{
		"offer": reflect.TypeFor[Offer](), "segment": reflect.TypeFor[Segment](),
		"rewrite": reflect.TypeFor[Rewrite](), "upstream": reflect.TypeFor[Upstream](),
		"counts": reflect.TypeFor[Counts](), "frames": reflect.TypeFor[Frames](),
		"destination": reflect.TypeFor[Destination](), "quic": reflect.TypeFor[QUIC](),
		"stall": reflect.TypeFor[Stall](),
		"dns":   reflect.TypeFor[DNS](), "question": reflect.TypeFor[Question](), "answer": reflect.TypeFor[Answer](),
	}
}

// The schema has the keys of the Go types, and only these: with their types, each with a
// description, and required where the type always has them.
func TestSchemaMatchesTypes(t *testing.T) {
	t.Parallel()
	root := readSchema(t)
	var alternatives []string
	for i := range root.OneOf {
		of, name := root.OneOf[i].resolve(&root)
		alternatives = append(alternatives, name)
		if of.Properties["msg"].Const != name {
			t.Errorf("msg of %s is %v", name, of.Properties["msg"].Const)
		}
	}
	slices.Sort(alternatives)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(recordTypes())), alternatives); diff != "" {
		t.Errorf("types of records (-Go +schema):\n%s", diff)
	}
	all := recordTypes()
	maps.Copy(all, partTypes())
	for name, of := range all {
		d := root.Defs[name]
		var required []string
		for _, f := range reflect.VisibleFields(of) {
			key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if key == "" {
				continue
			}
			if !strings.Contains(options, "omit") {
				required = append(required, key)
			}
			property := d.Properties[key]
			checkType(t, name+"."+key, &property, f.Type, &root)
		}
		if diff := cmp.Diff(sorted(keys(of)), slices.Sorted(maps.Keys(d.Properties))); diff != "" {
			t.Errorf("keys of %s (-Go +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(sorted(required), sorted(d.Required)); diff != "" {
			t.Errorf("required keys of %s (-Go +schema):\n%s", name, diff)
		}
	}
}

// checkType compares a schema with a Go type, which it has room for and no more.
func checkType(t *testing.T, key string, d *definition, of reflect.Type, root *definition) {
	t.Helper()
	resolved, part := d.resolve(root)
	if resolved.Description == "" && !strings.HasSuffix(key, "[]") {
		t.Errorf("%s has no description", key)
	}
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	want := "object"
	switch kind := of.Kind(); {
	case of == reflect.TypeFor[Value](): // a number or a word
		want = ""
	case of == reflect.TypeFor[time.Time](), kind == reflect.String:
		want = "string"
	case kind == reflect.Bool:
		want = "boolean"
	case kind == reflect.Slice:
		want = "array"
		if resolved.Items == nil {
			t.Fatalf("%s has no items", key)
		}
		checkType(t, key+"[]", resolved.Items, of.Elem(), root)
	case of.Kind() != reflect.Struct:
		want = "integer"
		checkRange(t, key, &resolved, kind)
	case partTypes()[part] != of:
		t.Errorf("%s is a %s, want a %v", key, part, of)
	}
	if resolved.Type != want {
		t.Errorf("%s is of type %s, want %s", key, resolved.Type, want)
	}
}

// checkRange compares the bounds of a number with those of its Go type.
func checkRange(t *testing.T, key string, d *definition, kind reflect.Kind) {
	t.Helper()
	if kind >= reflect.Uint && kind <= reflect.Uint64 && (d.Minimum == nil || *d.Minimum < 0) {
		t.Errorf("%s may be negative", key)
	}
	largest := map[reflect.Kind]float64{
		reflect.Uint8: math.MaxUint8, reflect.Uint16: math.MaxUint16, reflect.Uint32: math.MaxUint32,
	}
	if want, ok := largest[kind]; ok && (d.Maximum == nil || *d.Maximum != want) {
		t.Errorf("%s has no maximum of %v", key, want)
	}
}

// The words in the schema are those of the program.
func TestSchemaWords(t *testing.T) {
	t.Parallel()
	root := readSchema(t)
	var outcomes, exchanges, by, how []string
	for o := flow.NoAnswer; o <= flow.NotReachable; o++ {
		exchanges = append(exchanges, o.String())
	}
	for _, o := range handshake.Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	for e := flow.ClientFIN; e <= flow.RouterRST; e++ {
		by, how = append(by, e.By()), append(how, e.How())
	}
	for _, tt := range []struct {
		of, key string
		want    []string
	}{
		{"handshake", "outcome", outcomes},
		{"handshake", "aborted_by", []string{string(handshake.Client), string(handshake.Server)}},
		{"flow", "outcome", exchanges},
		{"flow", "closed_by", by},
		{"flow", "close", how},
		{"gap", "reason", constants(t, "records.go", "GapReason")},
		{"finding", "kind", constants(t, "finding.go", "FindingKind")},
		{"finding", "confidence", constants(t, "finding.go", "Confidence")},
		{"finding", "leg", constants(t, "finding.go", "Leg")},
	} {
		got := sorted(root.Defs[tt.of].Properties[tt.key].words())
		if diff := cmp.Diff(slices.Compact(sorted(tt.want)), got); diff != "" {
			t.Errorf("%s of %s (-Go +schema):\n%s", tt.key, tt.of, diff)
		}
	}
}

// constants returns the values of the constants of a type in a file.
func constants(t *testing.T, name, of string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == of {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}

// The schema refuses a record that lacks a member, or has one of another kind, and lets members
// pass that it does not know.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	line := string(new(Writer).Handshake(nil, 1, everything()))
	for _, tt := range []struct {
		from, to string
		ok       bool
	}{
		{`"msg"`, `"later":{"a":[1]},"msg"`, true},
		{`"win":65535,"mss"`, `"win":65535,"later":1,"mss"`, true},
		{`"msg":"handshake"`, `"msg":"other"`, false},
		{`"msg":"handshake"`, `"msg":"flow"`, false},
		{`"seq":1`, `"seq":"1"`, false},
		{`"seq":1`, `"seq":-1`, false},
		{`"outcome":"aborted"`, `"outcome":"fine"`, false},
		{`"sport":1051`, `"sport":65536`, false},
		{`"sport":1051,`, ``, false},
		{`"win":65535,"mss"`, `"mss"`, false},
		{`"hdr":"45`, `"hdr":"4x`, false},
		{`"error":"ECONNREFUSED"`, `"error":"connection refused"`, false},
		{`.123456Z"`, `Z"`, false},
	} {
		changed := strings.Replace(line, tt.from, tt.to, 1)
		if err := recordtest.Validate([]byte(changed)); changed == line || (err == nil) != tt.ok {
			t.Errorf("%s in the place of %s: %v", tt.to, tt.from, err)
		}
	}
}

// A record of version 2.0 is one of 2.1: a log has those of both after an update.
func TestSchemaTakesFormerVersion(t *testing.T) {
	t.Parallel()
	const end = `{"time":"2026-11-23T07:50:03.123456Z","level":"info","msg":"end","seq":25,"records":{"handshake":10,"datagram":2,"flow":12,"gap":0}}`
	if err := recordtest.Validate([]byte(end)); err != nil {
		t.Error(err)
	}
}

// configs/records.md has a section for each object of the schema: a table of its own keys in their
// order, a table of the words of one key, and examples that are records. Keys that several records
// share stand in sections before these.
func TestSchemaMatchesReference(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../configs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	root := readSchema(t)
	want := map[string][]string{
		"Keys of all records": keys(reflect.TypeFor[struct {
			Header
			Trailer
		}]()),
		"Keys of handshakes, datagrams and flows": keys(reflect.TypeFor[struct {
			Decided
			Tuple
			Named
			Program
		}]()),
	}
	all := recordTypes()
	maps.Copy(all, partTypes())
	for name, of := range all {
		want[name] = ownKeys(of)
	}
	key := regexp.MustCompile("(?m)^\\| `(\\w+)` (?:\\|[^|\n]*){4}\\|$")
	example := regexp.MustCompile("(?s)```json\n(.*?)```")
	word := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|[^|\n]*\\|$")
	sections := strings.Split(string(b), "\n## ")
	for _, section := range sections[1:] {
		title, text, _ := strings.Cut(section, "\n")
		if title == "Other formats" {
			continue
		}
		name, _, _ := strings.Cut(title, ":")
		listing, ok := want[name]
		if !ok {
			t.Errorf("section %q is about no object of the schema", title)
			continue
		}
		delete(want, name)
		if diff := cmp.Diff(listing, first(key, text)); diff != "" {
			t.Errorf("keys in section %q (-Go +reference):\n%s", title, diff)
		}
		listed := map[string]string{"handshake": "outcome", "flow": "outcome", "finding": "kind", "gap": "reason"}[name]
		if diff := cmp.Diff(root.Defs[name].Properties[listed].words(), first(word, text)); diff != "" {
			t.Errorf("words in section %q (-schema +reference):\n%s", title, diff)
		}
		for _, line := range first(example, text) {
			if err := recordtest.Validate([]byte(line)); err != nil {
				t.Errorf("example in section %q: %v", title, err)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no section about %v", slices.Sorted(maps.Keys(want)))
	}
}

// ownKeys returns the keys of a type without those of the types that it embeds.
func ownKeys(of reflect.Type) (own []string) {
	for _, f := range reflect.VisibleFields(of) {
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" && len(f.Index) == 1 {
			own = append(own, key)
		}
	}
	return own
}

// first returns the first submatch of each match.
func first(of *regexp.Regexp, text string) (all []string) {
	for _, match := range of.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }
