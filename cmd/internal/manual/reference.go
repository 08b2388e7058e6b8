package manual

import (
	"regexp"
	"slices"
	"strings"
)

// Lines of reference.yaml.
var (
	sectionLine  = regexp.MustCompile(`^([a-z_]+):\s*(?:#\s*(.*))?$`)
	keyLine      = regexp.MustCompile(`^( +)(?:- )?([a-z_]+):(.*)$`)
	remarkLine   = regexp.MustCompile(`^ *# ?(.*)$`)
	continuation = regexp.MustCompile(`^ {20,}# ?(.*)$`)
)

// reference appends the keys of a config that has each key with its default, and a comment behind
// it that may go on in the next lines. A comment on lines of its own is an example where it is an
// entry of a list, and text otherwise.
func (p *page) reference(yaml string) {
	r := referenceReader{page: p}
	for line := range strings.Lines(yaml) {
		r.line(strings.TrimRight(line, " \n"))
	}
	r.flush()
}

// referenceReader is in the midst of an entry, a text or an example.
type referenceReader struct {
	*page
	path     []string // names of the sections around
	tag      string   // of the entry; "" is a text
	text     []string
	examples []string
}

func (r *referenceReader) line(line string) {
	switch {
	case line == "":
		r.flush()
	case continuation.MatchString(line):
		r.text = append(r.text, continuation.FindStringSubmatch(line)[1])
	case remarkLine.MatchString(line):
		r.remark(remarkLine.FindStringSubmatch(line)[1])
	case sectionLine.MatchString(line):
		r.flush()
		m := sectionLine.FindStringSubmatch(line)
		r.path = m[1:2]
		r.subsection(m[1])
		if m[2] != "" {
			r.paragraph(sentence(m[2]))
		}
	default:
		r.key(line)
	}
}

// key begins the entry of a key, or the list of its sinks.
func (r *referenceReader) key(line string) {
	r.flush()
	m := keyLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	value, comment, _ := strings.Cut(m[3]+" ", " # ")
	value, comment = strings.TrimSpace(value), strings.TrimSpace(comment)
	if depth := len(m[1]) / 2; depth < len(r.path) {
		r.path = r.path[:depth]
	}
	name := strings.Join(append(slices.Clip(r.path), m[2]), ".")
	if value == "" {
		r.path = append(r.path, m[2]+"[]")
	}
	r.tag = "`" + strings.TrimSpace(name+": "+value) + "`"
	r.text = []string{comment}
}

func (r *referenceReader) remark(text string) {
	if strings.HasPrefix(text, "- ") {
		r.examples = append(r.examples, fold(text)...)
		return
	}
	if r.tag != "" || len(r.examples) > 0 {
		r.flush()
	}
	r.text = append(r.text, text)
}

// flush writes the entry or text that has ended.
func (r *referenceReader) flush() {
	switch text := strings.Join(r.text, " "); {
	case r.tag != "":
		r.tagged(r.tag, sentence(text))
	case text != "":
		r.paragraph(text)
	}
	if len(r.examples) > 0 {
		r.literal(strings.Join(r.examples, "\n"))
	}
	r.tag, r.text, r.examples = "", nil, nil
}

// fold breaks a mapping that is wider than a page.
func fold(example string) []string {
	const widest = 66
	if len(example) > widest {
		if at := strings.LastIndex(example[:widest], ", "); at > 0 && !strings.Contains(example[:at], "#") {
			return append([]string{example[:at+1]}, fold("   "+example[at+2:])...)
		}
	}
	return []string{example}
}
