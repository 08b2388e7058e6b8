// Package manual writes the manual pages, in the macros of man(7).
//
// Each page has one source. The pages of commands are made of the texts and flags that their help
// prints; syntap(1) has syntap.md besides. syntap-config(5) is configs/reference.yaml, and
// syntap-records(5) is configs/records.md: a key that is new there is in the page.
//
// The texts are Markdown, of which [page.markdown] knows the part that they use. A table becomes a
// list with the first cell of each row as its tag, because a terminal of 80 columns has no room for
// five columns. Tests have mandoc and groff look for mistakes, where they are installed.
package manual
