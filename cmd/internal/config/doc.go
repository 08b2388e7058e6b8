// Package config reads syntap's config: a YAML file in, a [Config] with typed values out. It is the
// only package that knows YAML. It touches nothing but the file and does not know the use of
// the values.
//
// # Theory of operation
//
// A file becomes a Config in three steps.
//
// Decode (document.go). The YAML library turns the bytes into a tree of nodes, and that is all it
// is asked to do: nodes know their line and column, so every later complaint can name its place.
// There is one document of bounded size and depth; aliases, merge keys and tags are refused, so
// that a file means its text.
//
// Resolve (schema.go). A [reader] takes one node and stores its value. The schema is one expression
// of readers that looks like the file: a mapping of keys, each with the field it goes to and the
// function that parses its text. The Config it writes to holds the defaults (default.go) from the
// start. A key that is not given, or that is null, is simply never stored. Unknown and repeated
// keys, lists where a single value belongs and the like fall out of the readers (reader.go).
//
// Validate (validate.go). Values that are right by themselves and wrong together are
// found last, on the typed Config. The document remembers the place of each given
// key, so these complaints have a place, too.
//
// No step stops at a mistake. All of them are collected and reported at once, in the order of the
// file, each as
//
//	router.yaml:7:8: tun.mtu: 100 is below the IPv6 minimum 1280 (RFC 8200 §5)
//	hint: remove the key to use 1500
//
// Package hint prints them. Elements of lists count from 0: tap.log[0].path.
//
// # Adding a key
//
// A key is a field in config.go with its yaml tag, a line in schema.go, its default in default.go,
// a line with a comment in configs/reference.yaml, and a testdata/bad-RULE.yaml for each rule that
// can be broken. The tests compare the four.
package config
