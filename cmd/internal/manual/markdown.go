package manual

import (
	"strings"
)

// markdown appends a text: headings of levels two and three, paragraphs, lists, terms with
// definitions (a line that begins with a colon), tables, and literal lines, fenced or indented.
func (p *page) markdown(text string) {
	lines := strings.Split(text, "\n")
	for len(lines) > 0 {
		n := 1
		switch line := lines[0]; {
		case line == "" || strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "## "):
			p.section(line[3:])
		case strings.HasPrefix(line, "### "):
			p.subsection(line[4:])
		case strings.HasPrefix(line, "```"):
			n = 1 + until(lines[1:], func(s string) bool { return strings.HasPrefix(s, "```") })
			p.literal(strings.Join(lines[1:n], "\n"))
			n++
		case strings.HasPrefix(line, "    "):
			n = until(lines, func(s string) bool { return s != "" && !strings.HasPrefix(s, "    ") })
			p.literal(dedent(lines[:n]))
		case strings.HasPrefix(line, "|"):
			n = until(lines, func(s string) bool { return !strings.HasPrefix(s, "|") })
			p.table(lines[:n])
		case strings.HasPrefix(line, "- "):
			n = 1 + until(lines[1:], func(s string) bool { return !strings.HasPrefix(s, "  ") })
			p.bullet(line[2:] + " " + strings.Join(lines[1:n], " "))
		default:
			n = until(lines, func(s string) bool { return s == "" })
			p.text(lines[:n])
		}
		lines = lines[min(n, len(lines)):]
	}
}

// text appends a paragraph, or a term and its definition.
func (p *page) text(lines []string) {
	if len(lines) > 1 && strings.HasPrefix(lines[1], ": ") {
		p.tagged(lines[0], lines[1][2:]+" "+strings.Join(lines[2:], " "))
		return
	}
	p.paragraph(strings.Join(lines, " "))
}

// table appends one tagged entry for each row. The second cell is the entry's text where the table
// has but two columns or calls it a meaning; other cells follow with the titles of their columns.
func (p *page) table(rows []string) {
	titles := cells(rows[0])
	for _, row := range rows[2:] {
		var parts []string
		for i, cell := range cells(row)[1:] {
			title := titles[i+1]
			switch {
			case cell == "" && title == "absent" && len(titles) > 2:
				parts = append(parts, "Always there.")
			case cell == "":
			case title == "meaning" || title == "does" || len(titles) == 2:
				parts = append(parts, sentence(cell))
			default:
				parts = append(parts, upperFirst(title)+": "+sentence(cell))
			}
		}
		p.tagged(tag(cells(row)[0]), strings.Join(parts, " "))
	}
}

// tag is the first cell of a row, in bold where it has no markup of its own.
func tag(cell string) string {
	if strings.ContainsAny(cell, "`*[") || cell == "" {
		return cell
	}
	return "**" + cell + "**"
}

// cells splits a row of a table, but not at a bar in code.
func cells(row string) []string {
	all := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func sentence(text string) string {
	if strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// until returns the index of the first line for which done holds, or the number of lines.
func until(lines []string, done func(string) bool) int {
	for i, line := range lines {
		if done(line) {
			return i
		}
	}
	return len(lines)
}

// dedent takes the indentation of the first line off all.
func dedent(lines []string) string {
	indent := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
	all := make([]string, len(lines))
	for i, line := range lines {
		all[i] = line[min(indent, len(line)-len(strings.TrimLeft(line, " "))):]
	}
	return strings.Join(all, "\n")
}
