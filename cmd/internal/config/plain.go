package config

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v4"
)

// scanPlain returns the document of a policy that consists of lines as "exec --learn" writes them,
// a rule a line; nil for any other, which is for the YAML library. Of ten thousand rules that takes
// longer than exec takes to start. The nodes are those that the library makes, but for comments and
// for tags, of which readers want to know null alone, which is never among them.
func scanPlain(data []byte) *yaml.Node {
	s := new(plain)
	for line := range bytes.Lines(data) {
		s.line++
		if !s.read(string(bytes.TrimSuffix(line, []byte("\n")))) {
			return nil
		}
	}
	if s.rules == nil || len(s.rules.Content) == 0 {
		return nil
	}
	return s.root
}

// plain is a policy as far as it is read.
type plain struct {
	line  int
	root  *yaml.Node // has egress alone
	keys  *yaml.Node // of egress; nil before the first
	rules *yaml.Node // nil before the key

	text   string // of the line
	column int    // in it, from 0
	bad    bool   // the line is of another form
}

func (s *plain) read(line string) bool {
	const most = 1000 // the library takes no longer keys
	for _, c := range []byte(line) {
		if c < ' ' || c > '~' || len(line) > most {
			return false
		}
	}
	text := strings.TrimLeft(line, " ")
	s.text, s.column, s.bad = line, len(line)-len(text), false
	switch {
	case line == "", strings.HasPrefix(text, "#"):
		return true
	case s.root == nil:
		s.root = s.node(yaml.MappingNode)
		s.root.Content = []*yaml.Node{s.word()}
		return line == "egress:"
	case s.column == 4 && s.rules != nil:
		s.rule()
	case s.column == 2:
		s.setting()
	default:
		return false
	}
	return !s.bad && s.column == len(line)
}

// setting reads a line with a key of egress.
func (s *plain) setting() {
	if s.keys == nil {
		s.keys = s.node(yaml.MappingNode)
		s.root.Content = append(s.root.Content, s.keys)
	}
	key := s.word()
	s.keys.Content = append(s.keys.Content, key)
	if key.Value != "rules" {
		s.expect(": ")
		s.keys.Content = append(s.keys.Content, s.value())
		return
	}
	s.expect(":")
	s.bad = s.bad || s.rules != nil
	s.rules = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!str"}
	s.keys.Content = append(s.keys.Content, s.rules)
}

// rule reads a line with a rule.
func (s *plain) rule() {
	if len(s.rules.Content) == 0 {
		s.rules.Line, s.rules.Column = s.line, s.column+1
	}
	s.bad = s.bad || s.keys.Content[len(s.keys.Content)-1] != s.rules
	s.expect("- ")
	r := s.node(yaml.MappingNode)
	r.Content = make([]*yaml.Node, 0, 8)
	s.rules.Content = append(s.rules.Content, r)
	for separator := "{"; ; separator = ", " {
		s.expect(separator)
		key := s.word()
		s.expect(": ")
		r.Content = append(r.Content, key, s.value())
		if s.bad || s.rest() == "}" {
			break
		}
	}
	s.expect("}")
}

// value reads a word, a text in quotes, or a list of these.
func (s *plain) value() *yaml.Node {
	if !strings.HasPrefix(s.rest(), "[") {
		return s.word()
	}
	list := s.node(yaml.SequenceNode)
	for separator := "["; !s.bad && !strings.HasPrefix(s.rest(), "]"); separator = ", " {
		s.expect(separator)
		list.Content = append(list.Content, s.word())
	}
	s.expect("]")
	return list
}

// word reads a word, or a text in quotes.
func (s *plain) word() *yaml.Node {
	n := s.node(yaml.ScalarNode)
	rest := s.rest()
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		end := strings.IndexAny(quoted, `"\`)
		if s.bad = s.bad || end < 0 || quoted[end] == '\\'; !s.bad {
			n.Value = quoted[:end]
			s.column += end + len(`""`)
		}
		return n
	}
	end := 0
	for end < len(rest) && isWordByte(rest[end]) {
		end++
	}
	n.Value = rest[:end]
	s.column += end
	s.bad = s.bad || end == 0 || strings.IndexByte("-./_", rest[0]) >= 0 || strings.EqualFold(n.Value, "null")
	return n
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '/' || c == '_'
}

func (s *plain) rest() string { return s.text[s.column:] }

// expect reads a separator.
func (s *plain) expect(separator string) {
	if s.bad = s.bad || !strings.HasPrefix(s.rest(), separator); !s.bad {
		s.column += len(separator)
	}
}

// node returns a node that begins here.
func (s *plain) node(kind yaml.Kind) *yaml.Node {
	return &yaml.Node{Kind: kind, Tag: "!!str", Line: s.line, Column: s.column + 1}
}
