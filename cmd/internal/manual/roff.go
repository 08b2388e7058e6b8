package manual

import (
	"fmt"
	"regexp"
	"strings"
)

// page collects the text of one page. Its methods take text with inline markup: `code`, **bold**,
// *variable*, [text](address).
type page struct {
	strings.Builder
	begun bool // a section, of which there is no text yet
}

// section begins a section, and subsection a part of one.
func (p *page) section(title string) {
	fmt.Fprintf(p, ".SH %s\n", heading(strings.ToUpper(title)))
	p.begun = true
}

func (p *page) subsection(title string) {
	fmt.Fprintf(p, ".SS %s\n", heading(title))
	p.begun = true
}

// macro writes one that begins a paragraph. A section begins one by itself.
func (p *page) macro(line string) {
	if !p.begun || line != ".PP" {
		p.WriteString(line + "\n")
	}
	p.begun = false
}

// heading is a title as the argument of a macro.
func heading(title string) string {
	plain := strings.NewReplacer("`", "", "*", "").Replace(title)
	return `"` + strings.ReplaceAll(escape(plain, false), `"`, `\(dq`) + `"`
}

func (p *page) paragraph(text string) {
	p.macro(".PP")
	p.filled(inline(text))
}

// tagged writes one entry of a list: a term, and behind it the text, indented.
func (p *page) tagged(tag, text string) {
	p.macro(".TP")
	p.WriteString(guard(inline(tag)) + "\n")
	p.filled(inline(text))
}

// bullet writes one entry of a list without terms.
func (p *page) bullet(text string) {
	p.macro(".IP \\(bu 2")
	p.filled(inline(text))
}

// literal writes lines as they are.
func (p *page) literal(lines string) {
	p.macro(".PP")
	p.WriteString(".in +4n\n.EX\n")
	for line := range strings.Lines(strings.Trim(lines, "\n")) {
		p.WriteString(guard(escape(strings.TrimRight(line, " \n"), true)) + "\n")
	}
	p.WriteString(".EE\n.in\n")
}

const widestLine = 78 // columns of the source

// filled writes text that is escaped, in lines that man fills.
func (p *page) filled(text string) {
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			word = guard(word)
		case column+1+len(word) > widestLine:
			p.WriteByte('\n')
			column, word = 0, guard(word)
		default:
			p.WriteByte(' ')
			column++
		}
		p.WriteString(word)
		column += len(word)
	}
	p.WriteByte('\n')
}

// guard keeps a line from being taken for a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

var markup = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\*([A-Za-z][^*]*)\\*|\\[([^\\]]+)\\]\\([^)]*\\)")

// inline turns inline markup into fonts.
func inline(text string) string {
	var b strings.Builder
	for {
		at := markup.FindStringSubmatchIndex(text)
		if at == nil {
			b.WriteString(escape(text, false))
			return b.String()
		}
		b.WriteString(escape(text[:at[0]], false))
		switch {
		case at[2] >= 0:
			b.WriteString(`\fB` + escape(text[at[2]:at[3]], true) + `\fR`)
		case at[4] >= 0:
			b.WriteString(`\fB` + escape(text[at[4]:at[5]], true) + `\fR`)
		case at[6] >= 0:
			b.WriteString(`\fI` + escape(text[at[6]:at[7]], true) + `\fR`)
		default:
			b.WriteString(inline(text[at[8]:at[9]]))
		}
		text = text[at[1]:]
	}
}

// escape has characters that roff interprets stand for themselves, and those of code look as they
// are typed. In prose a hyphen is a hyphen, but for one that begins a flag.
func escape(text string, code bool) string {
	var b strings.Builder
	before := ' '
	for i, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-' && (code || strings.ContainsRune(" (\"-", before) && !strings.HasPrefix(text[i:], "- ")):
			b.WriteString(`\-`)
		case r == '\'' && code:
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
		before = r
	}
	return b.String()
}
