package fleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// texts returns members with texts.
func texts(all [NumMembers]string) (members [NumMembers][]byte) {
	for m, text := range all {
		if text != "" {
			members[m] = []byte(text)
		}
	}
	return members
}

func TestFields(t *testing.T) {
	t.Parallel()
	const (
		handshake = `{"time":"2026-11-26T07:50:00.123456Z","level":"info","msg":"handshake","seq":17,"run_id":"0a","host":"gate","proto":"tcp",` +
			`"outcome":"established","family":4,"src":"192.0.2.1","sport":1051,"dst":"198.51.100.2","dport":80,"name":"b\u00fccher.example",` +
			`"client":{"win":1,"src":"x"},"lines":["a","b"],"process":"curl","community_id":"1:x","prev":"00","hash":"01"}`
		gap = `{"time":"2026-11-26T07:50:00.000000Z","level":"warning","msg":"gap","seq":18,"run_id":"0a","host":"gate","from":"x","to":"y","lost":3,"reason":"queue_full"}`
	)
	all := Record{Seq: 17, Time: time.Date(2026, 11, 26, 7, 50, 0, 123456000, time.UTC), Line: []byte(handshake)}
	all.Members = texts([NumMembers]string{
		Msg: "handshake", Proto: "tcp", Outcome: "established", Src: "192.0.2.1", Dst: "198.51.100.2", DPort: "80",
		Name: "bücher.example", Process: "curl", CommunityID: "1:x",
	})
	small := all
	small.Line = []byte(`{"time":"2026-11-26T07:50:00.123456Z","level":"info","msg":"handshake","seq":17,"run_id":"0a","proto":"tcp",` +
		`"outcome":"established","family":4,"src":"192.0.2.1","sport":1051,"dst":"198.51.100.2","dport":80,"partial":true,"prev":"00","hash":"01"}`)
	small.Members[Name], small.Members[Process], small.Members[CommunityID] = nil, nil, nil
	listed := small
	listed.Line = []byte(`{"time":"2026-11-26T07:50:00.123456Z","level":"info","msg":"handshake","seq":17,"run_id":"0a","lines":["a","b"],"process":"curl","partial":true,"prev":"00","hash":"01"}`)
	const (
		refused = `{"time":"2026-11-26T07:50:00.000000Z","msg":"handshake","seq":19,"src":"192.0.2.1","user":"alice"}`
		short   = `{"time":"2026-11-26T07:50:00.000000Z","msg":"handshake","seq":19,"src":"192.0.2.1","partial":true}`
	)
	unchained := Record{Seq: 19, Time: time.Date(2026, 11, 26, 7, 50, 0, 0, time.UTC), Line: []byte(short)}
	unchained.Members = texts([NumMembers]string{Msg: "handshake", Src: "192.0.2.1"})
	nothing := unchained
	nothing.Line = []byte(refused)
	listed.Members = texts([NumMembers]string{Msg: "handshake", Process: "curl"})
	whole := Record{Seq: 18, Time: time.Date(2026, 11, 26, 7, 50, 0, 0, time.UTC), Line: []byte(gap)}
	whole.Members[Msg] = []byte("gap")
	for _, tt := range []struct {
		name   string
		fields []string
		line   string
		want   Record
	}{
		{"all", nil, handshake, all},
		{"some", []string{"proto", "outcome", "family", "src", "sport", "dst", "dport"}, handshake, small},
		{"listed", []string{"process", "lines"}, handshake, listed},
		{"without a chain", []string{"src"}, refused, unchained},
		{"all that there are", []string{"src", "user", "lines"}, refused, nothing},
		{"gap", []string{"src"}, gap, whole},
	} {
		_, got, ok := FieldsOf(tt.fields).Append([]byte("before"), []byte(tt.line))
		if diff := cmp.Diff(tt.want, got); diff != "" || !ok {
			t.Errorf("%s: ok %t (-want +got):\n%s", tt.name, ok, diff)
		}
		if contradicts([]byte(tt.line), got.Line) {
			t.Errorf("%s: the record contradicts its own line", tt.name)
		}
	}
	for _, line := range []string{"", "x", `{"time":"x","msg":"y","seq":1}`, handshake[:len(handshake)-1]} {
		if _, r, ok := FieldsOf(nil).Append(nil, []byte(line)); ok {
			t.Errorf("%q is taken for the record %+v", line, r)
		}
	}
	for _, other := range []string{gap, `{"time":"2026-11-26T07:50:00.123457Z","level":"info","msg":"handshake","seq":17}`, "x"} {
		if !contradicts([]byte(handshake), []byte(other)) {
			t.Errorf("%q does not contradict the record", other)
		}
	}
}

// Each member is found by its key.
func TestMemberOf(t *testing.T) {
	t.Parallel()
	for m := range NumMembers {
		if got, ok := memberOf([]byte(m.Key())); got != m || !ok {
			t.Errorf("the member of %q = %d, %t, want %d", m.Key(), got, ok, m)
		}
	}
	if _, ok := memberOf([]byte("seq")); ok {
		t.Error("seq is a member")
	}
}
