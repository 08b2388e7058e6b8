package manual

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/configs"
)

func TestRoff(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"prose", "a well-known host's name", ".PP\na well-known host's name\n"},
		{"flag", "with -n or --help", ".PP\nwith \\-n or \\-\\-help\n"},
		{"code", "run `a-b 'c'`", ".PP\nrun \\fBa\\-b \\(aqc\\(aq\\fR\n"},
		{"variable", "the *FILE*", ".PP\nthe \\fIFILE\\fR\n"},
		{"stars", "*.example.com and *.example.net", ".PP\n*.example.com and *.example.net\n"},
		{"link", "see [the `guide`](guide.md)", ".PP\nsee the \\fBguide\\fR\n"},
		{"backslash", `\x1b`, ".PP\n\\ex1b\n"},
		{"requests", ".PP\n'br", ".PP\n\\&.PP 'br\n"},
		{"letters", "µ–~^", ".PP\n\\[u00B5]\\[u2013]\\(ti\\(ha\n"},
		{"term", "`TZ`\n: the zone,\n  of the host", ".TP\n\\fBTZ\\fR\nthe zone, of the host\n"},
		{"bullet", "- one\n  line\n- two", ".IP \\(bu 2\none line\n.IP \\(bu 2\ntwo\n"},
		{"literal", "    a-b\n\n    .c", ".PP\n.in +4n\n.EX\na\\-b\n\n\\&.c\n.EE\n.in\n"},
		{"fence", "```json\n{\n```\nx", ".PP\n.in +4n\n.EX\n{\n.EE\n.in\n.PP\nx\n"},
		{"sections", "## a-b\n\nx\n\n### `c`\n\ny", ".SH \"A-B\"\nx\n.SS \"c\"\ny\n"},
		{
			"table", "| key | meaning | unit | absent |\n|---|---|---|---|\n| `a` | first | µs | |\n| b | last | | never |",
			".TP\n\\fBa\\fR\nfirst. Unit: \\[u00B5]s. Always there.\n.TP\n\\fBb\\fR\nlast. Absent: never.\n",
		},
		{"two columns", "| a | b |\n|---|---|\n| `x` | means y |", ".TP\n\\fBx\\fR\nmeans y.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var p page
			p.markdown(tt.text)
			if got := p.String(); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	const yaml = `
tun:                               # the device
  name: ab                         # its name,
                                   # in short
  list:                            # several
    - format: text                 # how
    # They may be
    # more.
    # - {format: json}
  last: 2                          # of two
`
	const want = `.SS "tun"
the device.
.TP
\fBtun.name: ab\fR
its name, in short.
.TP
\fBtun.list:\fR
several.
.TP
\fBtun.list[].format: text\fR
how.
.PP
They may be more.
.PP
.in +4n
.EX
\- {format: json}
.EE
.in
.TP
\fBtun.last: 2\fR
of two.
`
	var p page
	p.reference(yaml)
	if got := p.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// pages are those of a small program.
func pages() []Page {
	return Pages(Command{
		Name: "syntap", Short: "Router", Commands: []Command{{
			Name: "run", Short: "Run", Usage: "syntap run [flags]", Long: "Run is\n'quoted'.\n\n    $ syntap run\n\nIt ends.",
			Example: "  syntap run -c FILE\n  syntap run", Flags: []Flag{
				{Short: "c", Long: "config", Value: "FILE", Usage: "read it from FILE", Default: "a-b"},
				{Long: "json", Usage: "print `JSON` of *.json"},
			},
		}},
	}, Edition{Version: "1.2.3", Date: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)})
}

func TestCommand(t *testing.T) {
	t.Parallel()
	const want = `.TH "SYNTAP-RUN" 1 2026-11-26 "syntap 1.2.3" "User Commands"
.SH "NAME"
syntap\-run \- run
.SH "SYNOPSIS"
\fBsyntap run [flags]\fR
.SH "DESCRIPTION"
Run is 'quoted'.
.PP
.in +4n
.EX
$ syntap run
.EE
.in
.PP
It ends.
.SH "OPTIONS"
.TP
\fB\-c\fR, \fB\-\-config\fR \fIFILE\fR
read it from FILE (default a-b).
.TP
\fB\-\-json\fR
print \(gaJSON\(ga of *.json.
.SH "EXAMPLES"
.in +4n
.EX
syntap run \-c FILE
syntap run
.EE
.in
.SH "SEE ALSO"
\fBsyntap\fR(1), \fBsyntap\-config\fR(5), \fBsyntap\-records\fR(5)
`
	if got := pages()[1].Text; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

var wordPattern = regexp.MustCompile(`[A-Za-z0-9_]+`)

// TestNothingIsLeftOut compares the words of a page with those of its source.
func TestNothingIsLeftOut(t *testing.T) {
	t.Parallel()
	links := regexp.MustCompile(`\]\([^)]*\)|(?m)^#.*$|json$|^\| .*\| mean.*$`)
	for name, source := range map[string]string{
		"syntap-config":  string(configs.Reference()),
		"syntap-records": links.ReplaceAllString(string(configs.Records()), "]"),
	} {
		at := slices.IndexFunc(pages(), func(p Page) bool { return p.Name == name })
		text := regexp.MustCompile(`\\f[BIR]|\\&|\\\[u[0-9A-F]{4}\]`).ReplaceAllString(pages()[at].Text, "")
		given := make(map[string]bool)
		for _, word := range wordPattern.FindAllString(strings.NewReplacer(`\-`, "-", `\e`, `\`).Replace(text), -1) {
			given[strings.ToLower(word)] = true
		}
		for _, word := range wordPattern.FindAllString(source, -1) {
			if !given[strings.ToLower(word)] && word != "md" {
				t.Errorf("%s lacks the word %q of its source", name, word)
			}
		}
	}
}
