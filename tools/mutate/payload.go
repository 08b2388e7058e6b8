package main

// payload has the mutations of the readers of payloads.
func payload() []mutation {
	pure := []mutation{
		{
			behaviour: "a domain name has 255 bytes at most",
			old:       `size > maxNameWire || `,
			run:       "TestNoDNS",
		},
		{
			behaviour: "the response code has the bits of EDNS",
			old:       `d.RCode |= `,
			new:       `d.RCode = `,
			run:       "TestDNSBounds",
		},
		{
			behaviour: "a CRYPTO frame contradicts no other",
			old:       `s.known[at] && s.b[at] != c`,
			new:       `false`,
			run:       "TestInitials",
		},
		{
			behaviour: "the types of QUIC 2 are its own",
			old:       `initial, retry = 1, 0`,
			new:       `initial, retry = 0, 3`,
			run:       "TestRFCVectors|TestInitials",
		},
		{
			behaviour: "the user and password of a URL stay out of records",
			old:       `if _, after, ok := cutLast(authority, '@'); ok {`,
			new:       `if _, after, ok := cutLast(authority, '@'); ok && false {`,
			run:       "TestHTTPHost",
		},
	}
	hook := []mutation{
		{
			behaviour: "the memory of first bytes is given back",
			old:       "\tc.first.End(&c.memory.payer)\n",
			run:       "TestFirstBytes",
		},
		{
			behaviour: "a DNS answer by TCP counts for a query only",
			old:       ` && s.answers(m) {`,
			new:       ` {`,
			run:       "TestUnaskedDNSAnswers",
		},
		{
			behaviour: "a DNS answer by TCP is known before the client has it",
			old:       "\t\t\tif c.dns != nil {\n\t\t\t\tc.dns.ReadResponses(b[:n], &c.memory.payer, c.answered())\n\t\t\t}\n",
			run:       "TestDNSOverTCP",
		},
	}
	return append(with(pure, "stack/inspect", "./stack/inspect"), with(hook, "stack", "./stack")...)
}
