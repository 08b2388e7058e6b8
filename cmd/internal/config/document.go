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
)

// document reads the values of one YAML document and collects everything that is wrong with them.
type document struct {
	file     string
	places   map[string]place // of the values that the file gives, by key
	problems []*problem
	outdated []rename // of the keys that the file gives
}

// rename says what an outdated key is called now.
type rename struct{ old, now string }

// node is one value of the document together with the key it stands under.
type node struct {
	*yaml.Node
	key string
}

func newDocument(file string) *document {
	return &document{file: file, places: make(map[string]place)}
}

// read passes the only document of data to root.
func (d *document) read(data []byte, root reader) {
	const maxDepth = 16 // a config needs five levels
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		panic("config: " + err.Error()) // the options are constant
	}

	var content, second yaml.Node
	err = loader.Load(&content)
	if err == nil {
		root(node{Node: content.Content[0]})
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
func (d *document) fail(n node, err error) {
	d.problems = append(d.problems, &problem{file: d.file, place: place{n.Line, n.Column}, key: n.key, err: err})
}

// blame notes an error of the value of key; where the file does not give it, at the value around
// it.
func (d *document) blame(err error, key string) {
	at := key
	for !d.gives(at) && at != "" {
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	d.problems = append(d.problems, &problem{file: d.file, place: d.places[at], key: key, err: err})
}

// gives tells whether the file has a value for key.
func (d *document) gives(key string) bool {
	_, ok := d.places[key]
	return ok
}

// want tells whether n holds a value of the given kind. Everything else but null is an error.
func (d *document) want(n node, kind yaml.Kind) bool {
	if n.ShortTag() == "!!null" {
		return false
	}
	d.places[n.key] = place{n.Line, n.Column}
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
		if key = n.key + "." + key; n.Kind == yaml.MappingNode && !d.gives(key) {
			d.fail(node{Node: n.Node, key: key}, errors.New("is missing"))
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
