// Package compact has records as they cross from the router to the process that writes them: every
// value in as many bytes as its Go type has, without names.
//
// The reader trusts nothing. It takes messages that [Append] can write and nothing else: whole
// values, words of the record's own lists, lengths and numbers of elements within bounds, addresses
// of one family, no byte too many. What it returns is a record that package record can write in all
// of its forms, and points to no memory of the message. Whether the record is true, it cannot tell.
//
// One function for each type both writes and reads (coder), so that the two cannot differ.
package compact
