package resolver

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func blockedQuery(t testing.TB, edns, dnssec bool) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, RecursionDesired: true, CheckingDisabled: true})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.StartQuestions())
	must(b.Question(dnsmessage.Question{
		Name: dnsmessage.MustNewName("Www.example.com."), Type: dnsmessage.TypeAAAA, Class: dnsmessage.ClassINET,
	}))
	if edns {
		must(b.StartAdditionals())
		var h dnsmessage.ResourceHeader
		must(h.SetEDNS0(4096, 0, dnssec))
		must(b.OPTResource(h, dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: 10, Data: make([]byte, 8)}}}))
	}
	m, err := b.Finish()
	must(err)
	return m
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ edns, dnssec bool }{{}, {true, false}, {true, true}} {
		var m dnsmessage.Message
		if err := m.Unpack(Blocked(blockedQuery(t, tt.edns, tt.dnssec))); err != nil {
			t.Fatal(err)
		}
		h := dnsmessage.Header{
			ID: 7, Response: true, RecursionDesired: true, RecursionAvailable: true, CheckingDisabled: true,
			RCode: dnsmessage.RCodeNameError,
		}
		if m.Header != h || len(m.Questions) != 1 || m.Questions[0].Name.String() != "Www.example.com." ||
			m.Questions[0].Type != dnsmessage.TypeAAAA || len(m.Answers)+len(m.Authorities) != 0 {
			t.Errorf("%+v: %s", tt, m.GoString())
		}
		if !tt.edns {
			if len(m.Additionals) != 0 {
				t.Errorf("a client without EDNS gets %v", m.Additionals)
			}
			continue
		}
		opt := m.Additionals[0].Body.(*dnsmessage.OPTResource)
		o := opt.Options[0]
		if m.Additionals[0].Header.DNSSECAllowed() != tt.dnssec || o.Code != 15 ||
			string(o.Data) != "\x00\x0fno rule allows this name" {
			t.Errorf("%+v: OPT %+v", tt, opt)
		}
	}
}

// FuzzBlocked answers any message, and never one that is no query.
func FuzzBlocked(f *testing.F) {
	f.Add(blockedQuery(f, true, true))
	f.Add(Blocked(blockedQuery(f, true, true)))
	f.Add(blockedQuery(f, false, false)[:20])
	f.Fuzz(func(t *testing.T, q []byte) {
		b := Blocked(q)
		if b == nil {
			return
		}
		if q[2]&0x80 != 0 || b[0] != q[0] || b[1] != q[1] || len(b) > len(q)+64 {
			t.Fatalf("%x answers %x", b, q)
		}
		var p dnsmessage.Parser
		_, err := p.Start(b)
		if err != nil || p.SkipAllQuestions() != nil || p.SkipAllAnswers() != nil ||
			p.SkipAllAuthorities() != nil || p.SkipAllAdditionals() != nil {
			t.Fatalf("%x answers %x, and is no message", b, q)
		}
	})
}
