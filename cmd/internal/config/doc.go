// Package config reads syntap's config: a YAML file in, a [Config] with typed values out. It is the
// only package that knows YAML. It touches only the file, and does not know the use of the values.
//
// # Theory of operation
//
// A file becomes a Config in three steps.
//
// Decode (document.go). The YAML library only turns the bytes into a tree of nodes. Nodes know
// their line and column, so every later error can name its place. There is one document of bounded
// size and depth. Aliases, merge keys and tags are refused, so that a file means its text.
//
// Resolve (schema.go). A [reader] takes one node and stores its value. The schema is one expression
// of readers that looks like the file: a mapping of keys, each with its field and the function that
// parses its text. The Config begins with the defaults (default.go); an absent or null key is not
// stored. The readers reject unknown and repeated keys, lists in place of single values, and the
// like (reader.go).
//
// Validate (validate.go). Values that are valid by themselves but not together are found last, in
// the typed Config. The document knows the place of each given key, so these errors have a place,
// too.
//
// No step stops at a mistake. All mistakes are reported at once, in the order of the file, each as
//
//	router.yaml:7:8: tun.mtu: 100 is below the IPv6 minimum 1280 (RFC 8200 §5)
//	hint: remove the key to use 1500
//
// Package hint prints them. Elements of lists count from 0: tap.log[0].path.
//
// The rules of a Config are compiled by the packages that judge by them (compile.go, egress.go).
//
// # Adding a key
//
// A key is a field in config.go with its yaml tag, a line in schema.go, its default in default.go,
// a line with a comment in configs/reference.yaml, and a testdata/bad-RULE.yaml for each of its
// rules. The tests compare these.
package config
