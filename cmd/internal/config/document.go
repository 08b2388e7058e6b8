package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"syntap/cmd/internal/hint"
)

// document reads the values of one YAML document and collects everything that is wrong with them.
type document struct {
	file     string
	root     *yaml.Node // nil where there is none
	problems []*problem
	outdated []rename // of the keys that the file gives
}

// rename says what an outdated key is called now.
type rename struct{ old, now string }

// node is one value of the document together with the place of it there.
type node struct {
	*yaml.Node
	in    *node  // the mapping or list that has it; nil for the root
	name  string // in a mapping
	index int    // in a list
}

// key returns the key that a value stands under, such as egress.rules[3].name; "" for the root.
func (n *node) key() string {
	switch {
	case n.in == nil:
		return ""
	case n.in.Kind == yaml.SequenceNode:
		return n.in.key() + "[" + strconv.Itoa(n.index) + "]"
	default:
		return under(n.in.key(), n.name)
	}
}

// under returns the key of a name in a mapping, which has a key itself.
func under(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func newDocument(file string) *document { return &document{file: file} }

// read passes the only document of data to root.
func (d *document) read(data []byte, root reader) {
	if d.root = scanPlain(data); d.root != nil {
		root(node{Node: d.root})
		return
	}
	const maxDepth = 16 // a config needs five levels
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		panic("config: " + err.Error()) // the options are constant
	}

	var content, second yaml.Node
	err = loader.Load(&content)
	if err == nil {
		d.root = content.Content[0]
		root(node{Node: d.root})
		if err = loader.Load(&second); err == nil {
			d.fail(node{Node: &second}, errors.New("a second document begins here"))
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		d.failSyntax(data, err)
	}
}

// failSyntax notes an error of the YAML library, which gives no line of bytes that are no text.
func (d *document) failSyntax(data []byte, err error) {
	p := &problem{file: d.file, err: err}
	if e := (*yaml.LoadError)(nil); errors.As(err, &e) {
		text := e.Message
		if e.ContextMsg != "" {
			text += " " + e.ContextMsg
		}
		p.place = place{e.Mark.Line, e.Mark.Column}
		if e.Mark.Line == 0 {
			p.place = placeOf(data, e.Mark.Index)
		}
		p.err = errors.New(printable(text))
		if at := e.Mark.Index; at < len(data) && data[at] == '\t' {
			p.err = hint.Usage(p.err, "indent with spaces: YAML takes no tabs there")
		}
	}
	d.problems = append(d.problems, p)
}

// placeOf returns the place of a byte.
func placeOf(data []byte, index int) place {
	before := data[:min(index, len(data))]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return place{1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(line)}
}

// fail notes an error of the value at n.
func (d *document) fail(n node, err error) { d.failAt(n.Node, n.key(), err) }

// failAt notes an error of a key at a place of the file.
func (d *document) failAt(at *yaml.Node, key string, err error) {
	p := &problem{file: d.file, key: key, err: err}
	if at != nil {
		p.place = place{at.Line, at.Column}
	}
	d.problems = append(d.problems, p)
}

// blame notes an error of the value of key; where the file does not give it, at the value around
// it.
func (d *document) blame(err error, key string) {
	at := key
	for !d.gives(at) && at != "" {
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	d.failAt(d.find(at), key, err)
}

// gives tells whether the file has a value for key.
func (d *document) gives(key string) bool { return d.find(key) != nil }

// find returns the value that the file has for a key, nil where there is none. A null is none.
func (d *document) find(key string) *yaml.Node {
	n := d.root
	for n != nil && key != "" {
		if rest, ok := strings.CutPrefix(key, "["); ok {
			number, rest, _ := strings.Cut(rest, "]")
			i, err := strconv.Atoi(number)
			if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
				return nil
			}
			n, key = n.Content[i], rest
			continue
		}
		key = strings.TrimPrefix(key, ".")
		end := strings.IndexAny(key, ".[")
		if end < 0 {
			end = len(key)
		}
		n, key = valueOf(n, key[:end]), key[end:]
	}
	if n == nil || n.ShortTag() == "!!null" {
		return nil
	}
	return n
}

// valueOf returns the first value of a key in a mapping, nil where there is none.
func valueOf(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// want tells whether n holds a value of the given kind. Everything else but null is an error.
func (d *document) want(n node, kind yaml.Kind) bool {
	if n.ShortTag() == "!!null" {
		return false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(n, remedy("write the value out", "is an alias"))
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, remedy("remove the tag", "has a tag"))
	case n.Kind != kind:
		d.fail(n, fmt.Errorf("is %s, not %s", kindName(n.Kind), kindName(kind)))
	default:
		return true
	}
	return false
}

// require notes an error for each key that the mapping n lacks.
func (d *document) require(n node, keys ...string) {
	for _, key := range keys {
		value := valueOf(n.Node, key)
		if n.Kind == yaml.MappingNode && (value == nil || value.ShortTag() == "!!null") {
			d.failAt(n.Node, under(n.key(), key), errors.New("is missing"))
		}
	}
}

func kindName(kind yaml.Kind) string {
	switch kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// printable makes an error of the YAML library fit to show: it may repeat bytes of the file.
func printable(s string) string {
	const most = 200
	quoted := strconv.QuoteToGraphic(s[:min(len(s), most)])
	return quoted[1 : len(quoted)-1]
}
