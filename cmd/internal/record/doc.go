// Package record reads members of the JSON records that package audit writes, without decoding
// them: a log of a million records is asked for a handful of members of each. It relies on how
// audit writes: no spaces, each member once, the members that are asked for at the top level under
// names that no object within has, and every quote in a string escaped. FormOf says whether a line
// is of that form; Normal brings a record that others have written into it.
package record
