// Package filter has the grammar for searching connections, which "syntap log", the live page,
// "syntap top" and the API share.
//
//	dst:10.0.0.0/8 !refused port:5432,8000-8999 name:*.example.com bytes:>1MB
//
//	filter  = { term }                    all terms must match
//	term    = ["!"] ( key ":" value { "," value } | word )
//	value   = text | '"' text '"'         with \" and \\ between quotes
//	word    = an outcome, a protocol, a state such as "open", an address or prefix, else any text
//
// One of several values must match, and one of several terms with the same key. Of negated terms
// none may match. A missing member matches no value, so a negated term accepts it. [Keys] lists the
// keys.
//
//	names      name sni query        "*.example.com" is each name below example.com; "*" is any
//	           process exe user unit container host rule reason      "*" stands for any text
//	addresses  src dst addr (either end)      address or prefix
//	numbers    port sport uid pid             443 or 8000-8999
//	words      proto outcome verdict close closed_by rcode state
//	amounts    bytes out in duration connect  ">1MB", ">=1s", "<5ms", "1KiB-1MiB"
//	times      since until                    see [ParseTime]
//
// The name of a connection is any known one: from the DNS, from its SNI or HTTP Host, or the name
// in its DNS query.
//
// # Stages
//
// A connection's two records arrive at different times. [Filter.MayMatch] judges a connection of
// which only the opening is known. It returns false if no flow record can make it match, so that a
// reader need not wait for one.
package filter
