package main

// names has the mutations of the names of servers.
func names() []mutation {
	list := []mutation{
		{
			behaviour: "addresses of another name than the one asked for do not count",
			old:       `r.Name == end && len(a.found) < maxFound`,
			new:       `len(a.found) < maxFound`,
			run:       "TestRead",
		},
		{
			behaviour: "a name that is over does not come back",
			old:       `if e.expire(at); len(e.pairs) == 0 {`,
			new:       `if len(e.pairs) == 0 {`,
			run:       "TestTime",
		},
		{
			behaviour: "a connection keeps the names of its address",
			old:       "\te.open++\n",
			run:       "TestTime",
		},
		{
			behaviour: "the names of an address last a while beyond its last connection",
			old:       "\tif e.source != nil {\n\t\te.use(at)",
			new:       "\tif e.source != nil {",
			run:       "TestTime",
		},
		{
			behaviour: "a machine with a whole /64 has one share",
			old:       `if c.kind == machine && c.addr.Is6() {`,
			new:       `if false {`,
			run:       "TestBounds",
		},
		{
			behaviour: "addresses with open connections give way last",
			old:       `if l.oldest.open == 0 {`,
			new:       `if true {`,
			run:       "TestBoundOfAll",
		},
		{
			behaviour: "the SNI beside ECH contradicts no name",
			old:       ` && !hello.ECH && `,
			new:       ` && `,
			run:       "TestConflict",
		},
	}
	return with(list, "stack/names", "./stack/names")
}
