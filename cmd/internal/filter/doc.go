// Package filter has the one grammar in which people ask for connections: in "syntap log", on the
// live page, in "syntap top" and of the API.
//
//	dst:10.0.0.0/8 !refused port:5432,8000-8999 name:*.example.com bytes:>1MB
//
//	filter  = { term }                    all terms must match
//	term    = ["!"] ( key ":" value { "," value } | word )
//	value   = text | '"' text '"'         with \" and \\ between quotes
//	word    = an outcome, a protocol, a state such as "open", an address or prefix, else any text
//
// Of several values one must match, and of several terms with the same key one, too, unless they
// are negated: none of those may match. A member that a connection does not have matches no value,
// so that a negated term takes it. [Keys] lists the keys.
//
//	names      name sni query        "*.example.com" is each name below example.com; "*" is any
//	           process exe user unit container host rule reason      "*" stands for any text
//	addresses  src dst addr (either end)      address or prefix
//	numbers    port sport uid pid             443 or 8000-8999
//	words      proto outcome verdict close closed_by rcode state
//	amounts    bytes out in duration connect  ">1MB", ">=1s", "<5ms", "1KiB-1MiB"
//	times      since until                    see [ParseTime]
//
// The name of a connection is any that is known of it: by DNS, by its SNI or HTTP Host, or the name
// that a DNS query asks for.
//
// # Stages
//
// A connection's two records come apart. [Filter.MayMatch] judges one of which only the opening is
// known: it says no where no flow can change that, so that a reader need not wait for it.
package filter
