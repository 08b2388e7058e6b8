package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"syntap/cmd/internal/hint"
)

// A reader takes one value of a document and stores it. It stores nothing when the value is null:
// such a key counts as not given and keeps its default.
type reader func(n node)

// keys are the keys that a mapping may have, and the readers of their values.
type keys map[string]reader

// mapping reads a mapping. Unknown and repeated keys are errors.
func (d *document) mapping(known keys) reader { return d.mappingWith(nil, known) }

// mappingWith reads a mapping that may have outdated keys, too. Messages do not propose those.
func (d *document) mappingWith(outdated, known keys) reader {
	return func(n node) {
		if !d.want(n, yaml.MappingNode) {
			return
		}
		var first []*yaml.Node // each key that is known
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i]
			value := node{Node: n.Content[i+1], in: &n, name: name.Value}
			read, ok := known[name.Value]
			if !ok {
				read, ok = outdated[name.Value]
			}
			again := slices.IndexFunc(first, func(f *yaml.Node) bool { return f.Value == name.Value })
			switch {
			case name.Kind != yaml.ScalarNode || !ok:
				d.failAt(name, n.key(), unknownKey(name.Value, slices.Sorted(maps.Keys(known))))
			case again >= 0:
				d.failAt(name, value.key(), fmt.Errorf("is already set in line %d", first[again].Line))
			default:
				first = append(first, name)
				read(value)
			}
		}
	}
}

// renamed reads the value of a key that has another name now. Giving both is an error.
func (d *document) renamed(c *Config, now string, read reader) reader {
	return func(n node) {
		read(n)
		if n.ShortTag() == "!!null" {
			return
		}
		c.Outdated = append(c.Outdated, fmt.Sprintf("%s in line %d is %s now; the old name still works", n.key(), n.Line, now))
		d.outdated = append(d.outdated, rename{old: n.key(), now: now})
	}
}

func unknownKey(key string, known []string) error {
	err := fmt.Errorf("unknown key %s", quote(key))
	if near := hint.Nearest(key, known); near != "" {
		return remedy(fmt.Sprintf("did you mean %q?", near), "%w", err)
	}
	return remedy("the keys here are "+join(known), "%w", err)
}

// value reads a single value into dst.
func value[T any](d *document, dst *T, parse func(string) (T, error)) reader {
	return func(n node) {
		if v, ok := parseValue(d, n, parse); ok {
			*dst = v
		}
	}
}

func parseValue[T any](d *document, n node, parse func(string) (T, error)) (v T, ok bool) {
	if !d.want(n, yaml.ScalarNode) {
		return v, false
	}
	v, err := parse(n.Value)
	if err != nil {
		d.fail(n, err)
	}
	return v, err == nil
}

// elements reads a list into dst. An element in error keeps its place, so that indices stay those
// of the file.
func elements[T any](d *document, dst *[]T, read func(n node) T) reader {
	return func(n node) {
		if !d.want(n, yaml.SequenceNode) {
			return
		}
		*dst = slices.Grow([]T(nil), len(n.Content))
		for i, content := range n.Content {
			element := node{Node: content, in: &n, index: i}
			if element.ShortTag() == "!!null" {
				d.fail(element, errors.New("is empty"))
			}
			*dst = append(*dst, read(element))
		}
	}
}

// list reads a list of single values into dst. A value that stands there twice is an error.
func list[T comparable](d *document, dst *[]T, parse func(string) (T, error)) reader {
	return func(n node) {
		first := make(map[T]string) // key of each value
		elements(d, dst, func(n node) T {
			v, ok := parseValue(d, n, parse)
			if !ok {
				return v
			}
			if key, again := first[v]; again {
				d.fail(n, fmt.Errorf("is the same as %s", key))
			} else {
				first[v] = n.key()
			}
			return v
		})(n)
	}
}

// oneOrMore reads a list of single values, or one that stands alone, into dst.
func oneOrMore[T comparable](d *document, dst *[]T, parse func(string) (T, error)) reader {
	return func(n node) {
		if n.Kind != yaml.ScalarNode {
			list(d, dst, parse)(n)
			if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
				d.fail(n, remedy("remove the key, or fill the list", "is empty"))
			}
		} else if v, ok := parseValue(d, n, parse); ok {
			*dst = []T{v}
		}
	}
}

// addressSet reads a list of prefixes and of the given words into dst.
func addressSet(d *document, dst *AddressSet, words ...string) reader {
	return func(n node) {
		var entries []string
		list(d, &entries, func(s string) (string, error) {
			if slices.Contains(words, s) {
				return s, nil
			}
			if !strings.ContainsAny(s, ".:/") {
				other := join(words)
				if len(words) > 1 {
					other = "one of " + other
				}
				return "", fmt.Errorf("%s is neither a prefix nor %s", quote(s), other)
			}
			prefix, err := parsePrefix(s)
			return prefix.String(), err
		})(n)
		if n.ShortTag() == "!!null" {
			return
		}
		*dst = AddressSet{}
		for _, entry := range entries {
			if prefix, err := netip.ParsePrefix(entry); err == nil {
				dst.Prefixes = append(dst.Prefixes, prefix)
			} else {
				dst.Words = append(dst.Words, entry)
			}
		}
	}
}
