package manual

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"syntap/configs"
)

// Page is a manual page.
type Page struct {
	Name    string // syntap-run
	Section int
	Text    string // in the macros of man(7)
}

// File returns the name of the page's file: syntap-run.1.
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Command is a command of the program, or the program.
type Command struct {
	Name     string // run; of the program "syntap"
	Short    string // does, in a line
	Usage    string // syntap run [flags]
	Long     string // in paragraphs; lines that are indented stay as they are
	Example  string // command lines
	Flags    []Flag
	Commands []Command
}

// Flag is a flag of a command.
type Flag struct {
	Short, Long string // c, config; "" has none
	Value       string // FILE; "" is a switch
	Usage       string
	Default     string // "" is none
}

// Edition is printed at the foot of each page.
type Edition struct {
	Version string
	Date    time.Time
}

//go:embed syntap.md
var syntapText string

//go:embed config.md
var configText string

// Pages returns the pages of a program and its commands, and those of its files.
func Pages(program Command, edition Edition) []Page {
	pages := []Page{edition.page("syntap", 1, program.Short, func(p *page) { p.program(program) })}
	for _, c := range program.Commands {
		pages = append(pages, edition.page("syntap-"+c.Name, 1, c.Short, func(p *page) { p.command(c) }))
	}
	return append(pages,
		edition.page("syntap-config", 5, "Config of syntap", func(p *page) {
			before, after, _ := strings.Cut(configText, "KEYS\n")
			p.markdown(before)
			reference := strings.ReplaceAll(string(configs.Reference()), "records.md", "syntap-records(5)")
			head, keys, _ := strings.Cut(reference, "\n\n")
			p.reference(head + "\n")
			p.section("keys")
			p.reference(keys)
			p.markdown(after)
		}),
		edition.page("syntap-records", 5, "Records in the JSON logs of syntap", func(p *page) {
			p.section("description")
			p.markdown(string(configs.Records()))
			p.seeAlso("`syntap-log`(1), `syntap-verify`(1), `syntap-schema`(1), `syntap-config`(5)")
		}))
}

// page returns a page with a head and the text that write writes.
func (e Edition) page(name string, section int, short string, write func(*page)) Page {
	manual := map[int]string{1: "User Commands", 5: "File Formats"}[section]
	var p page
	fmt.Fprintf(&p, ".TH %s %d %s %s %s\n", heading(strings.ToUpper(name)), section, e.Date.Format(time.DateOnly),
		heading("syntap "+e.Version), heading(manual))
	p.section("name")
	p.WriteString(escape(name, true) + ` \- ` + escape(lowerFirst(short), false) + "\n")
	write(&p)
	return Page{name, section, p.String()}
}

// program appends the text of syntap(1); the list of commands takes the place of the line COMMANDS.
func (p *page) program(c Command) {
	p.section("synopsis")
	p.paragraph("`syntap` *COMMAND* [*flags*] [*argument*...]")
	before, after, _ := strings.Cut(syntapText, "COMMANDS\n")
	p.markdown(before)
	p.section("commands")
	for _, sub := range c.Commands {
		p.tagged(fmt.Sprintf("`syntap-%s`(1)", sub.Name), sentence(sub.Short))
	}
	p.markdown(after)
}

// command appends the text of a command.
func (p *page) command(c Command) {
	p.section("synopsis")
	p.paragraph("`" + c.Usage + "`")
	p.section("description")
	p.help(c.Long)
	if len(c.Commands) > 0 {
		p.section("commands")
		for _, sub := range c.Commands {
			p.tagged("`"+sub.Usage+"`", sentence(sub.Short))
		}
	}
	p.section("options")
	for _, f := range c.Flags {
		p.macro(".TP")
		p.WriteString(guard(inline(f.tag())) + "\n")
		p.filled(escape(f.text(), false))
	}
	if c.Example != "" {
		p.section("examples")
		p.literal(dedent(strings.Split(strings.Trim(c.Example, "\n"), "\n")))
	}
	p.seeAlso("`syntap`(1), `syntap-config`(5), `syntap-records`(5)")
}

// help appends a text without markup.
func (p *page) help(text string) {
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if strings.HasPrefix(paragraph, " ") || strings.HasPrefix(paragraph, "\t") {
			p.literal(dedent(strings.Split(strings.ReplaceAll(paragraph, "\t", "    "), "\n")))
			continue
		}
		p.macro(".PP")
		p.filled(escape(paragraph, false))
	}
}

func (p *page) seeAlso(pages string) {
	p.section("see also")
	p.paragraph(pages)
}

// tag is a flag as it is typed: -c, --config FILE.
func (f Flag) tag() string {
	tag := "`--" + f.Long + "`"
	if f.Short != "" {
		tag = "`-" + f.Short + "`, " + tag
	}
	if f.Value != "" {
		tag += " *" + f.Value + "*"
	}
	return tag
}

func (f Flag) text() string {
	text := f.Usage
	if f.Default != "" {
		text += " (default " + f.Default + ")"
	}
	return sentence(text)
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }
