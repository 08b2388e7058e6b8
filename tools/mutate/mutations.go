package main

// mutation is one behaviour that is taken away.
type mutation struct {
	folder    string // where old stands once, in it or below, outside of tests
	behaviour string // that is gone
	old, new  string
	tests     string // packages of which a test is to fail, separated by spaces
	run       string // pattern of the tests to run, "" = all
	survives  string // why no test notices; "" = one does
}

// mutations returns the list, in the order in which they are tried.
func mutations() []mutation {
	var all []mutation
	for _, of := range []func() []mutation{connection, datagram, payload, names, tracker, rules, headers, log} {
		all = append(all, of()...)
	}
	return all
}

const (
	inStack  = "./stack/..."
	inTap    = "./tap ./tap/tracker"
	inPolicy = "./tap/policy"
	inPacket = "./tun/packet"
	inAudit  = "./cmd/internal/audit/... ./cmd/internal/logfile ./cmd/internal/record"
)
