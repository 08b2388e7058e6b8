package resolver

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/virtual"
)

// Options of a Resolver.
type Options struct {
	// Pool has the virtual addresses.
	Pool virtual.Pool

	// Servers are the nameservers to ask, in turn. It may be called from any goroutine.
	Servers func() []netip.AddrPort

	// Dial opens a connection to a nameserver, by "udp" or "tcp".
	Dial func(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error)

	// NoECH leaves the keys of Encrypted ClientHello (RFC 9848) out of records, so that hellos of
	// clients say the name that they mean.
	NoECH bool

	// Exceeded receives each domain that begins to be asked more than a program needs that carries
	// no data out by its questions, and how many were asked: more are refused for a while. It may
	// be called from any goroutine; nil disables it.
	Exceeded func(domain string, asked int)
}

// Resolver answers queries. It is safe for concurrent use.
type Resolver struct {
	o      Options
	table  *virtual.Table
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	asking chan struct{} // has an element for each question to nameservers

	turn    time.Duration // of a nameserver, before the next is asked
	timeout time.Duration // of its answer

	cache  cache
	budget budget
}

// maxAsking bounds the questions to nameservers at a time; others wait.
const maxAsking = 256

// New returns a Resolver.
func New(o Options) *Resolver {
	r := &Resolver{o: o, asking: make(chan struct{}, maxAsking), turn: turn, timeout: timeout}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.cache.results, r.cache.running = make(map[string][2]*result), make(map[string]*lookup)
	r.budget.domains = make(map[string]*spending)
	r.table = virtual.New(o.Pool, r.renew)
	return r
}

// Table returns the table of the addresses that it gives to names.
func (r *Resolver) Table() *virtual.Table { return r.table }

// Stop ends all lookups: from now on they fail.
func (r *Resolver) Stop() { r.cancel() }

// Close stops, and waits until nothing is being looked up.
func (r *Resolver) Close() {
	r.Stop()
	r.tasks.Wait()
}

// renew asks for the addresses of a name that is known, which may have others now.
func (r *Resolver) renew(name string, done func(...virtual.Family)) {
	c := &r.cache
	c.mu.Lock()
	l := r.lookup(name)
	var known []virtual.Family
	for f, found := range l.results {
		if found != nil {
			known = append(known, virtual.Family(f))
		}
	}
	l.renewed = append(l.renewed, done)
	c.mu.Unlock()
	if known != nil {
		done(known...)
	}
}

// Answer returns the response to a message of a client: by UDP it is as short as the client wants
// it, by stream as long as it is. It returns nil for what has no response.
func (r *Resolver) Answer(ctx context.Context, message []byte, stream bool) []byte {
	q, err := parseQuery(message)
	if err != nil {
		return formatError(message)
	}
	limit := q.size
	if stream {
		limit = maxMessage
	}
	return r.respond(ctx, q).pack(q, limit)
}

// formatError returns the response to a query that cannot be read.
func formatError(message []byte) []byte {
	if len(message) < headerLen || message[2]&0x80 != 0 {
		return nil
	}
	b := make([]byte, headerLen)
	copy(b, message[:3])
	b[2] = 0x80 | message[2]&0x79 // the opcode, and RD
	b[3] = byte(dnsmessage.RCodeFormatError)
	if message[2]&0x78 != 0 {
		b[3] = byte(dnsmessage.RCodeNotImplemented)
	}
	return b
}

func (r *Resolver) respond(ctx context.Context, q *query) *response {
	if q.question.Class != dnsmessage.ClassINET {
		return &response{rcode: dnsmessage.RCodeNotImplemented}
	}
	typ := q.question.Type
	if a, ok := Reverse(q.name); ok && r.table.Contains(a) {
		return r.pointer(q, a)
	}
	if discoversResolvers(q.name) {
		return &response{rcode: dnsmessage.RCodeNameError, ede: blocked, text: "this resolver has no other"}
	}
	if domain, asked, ok := r.budget.take(q, time.Now()); !ok {
		if domain != "" && r.o.Exceeded != nil {
			r.o.Exceeded(domain, asked)
		}
		return &response{rcode: dnsmessage.RCodeRefused, ede: blocked, text: "too many questions that may carry data out"}
	}
	switch typ {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		return r.host(ctx, q)
	case dnsmessage.TypeHTTPS, dnsmessage.TypeSVCB:
		return r.services(ctx, q)
	default:
		return r.pass(ctx, q)
	}
}

// discoversResolvers reports whether a name tells programs of a resolver beside the system's: of
// DDR (RFC 9462 §6.4), and Firefox's canary for DNS over HTTPS. Clients that used one would know
// servers by addresses alone.
func discoversResolvers(name string) bool {
	return name == "use-application-dns.net" || name == "resolver.arpa" ||
		strings.HasSuffix(name, ".resolver.arpa")
}

// host answers a question for addresses with those that stand for the name.
func (r *Resolver) host(ctx context.Context, q *query) *response {
	if strings.Contains(q.name, `\`) || q.name == "." {
		return &response{rcode: dnsmessage.RCodeNameError} // no host has such a name (RFC 1123 §2.1)
	}
	f := virtual.V4
	if q.question.Type == dnsmessage.TypeAAAA {
		f = virtual.V6
	}
	found := r.address(ctx, q.name, f)
	if found.err != nil {
		return failure(found.err)
	}
	if !found.a.IsValid() {
		none := found.none
		return &none
	}
	reply := new(response)
	if q.dnssec {
		reply.ede, reply.text = edeForged, "a virtual address stands for the name"
	}
	ttl := max(0, time.Until(found.expires))
	reply.addAddress(q, uint32(ttl/time.Second), found.a)
	return reply
}

// pointer answers a question for the name of a virtual address.
func (r *Resolver) pointer(q *query, a netip.Addr) *response {
	name, ok := r.table.Name(a)
	if !ok {
		return &response{rcode: dnsmessage.RCodeNameError}
	}
	reply := new(response)
	target, err := dnsmessage.NewName(name + ".")
	if err == nil && q.question.Type == dnsmessage.TypePTR {
		reply.add(q, uint32(maxTTL/time.Second), &dnsmessage.PTRResource{PTR: target})
	}
	return reply
}
