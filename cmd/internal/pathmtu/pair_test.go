package pathmtu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// handshakeRecord is a record with a SYN and a SYN-ACK.
func handshakeRecord(isn int, src, client, server string) string {
	return fmt.Sprintf(`{"time":"2026-11-26T07:50:00.000000Z","msg":"handshake","seq":1,"src":"%s","client_isn":%d,"server_isn":7,`+
		`"client":{"win":64240,%s},"server":{"win":65160,%s}}`+"\n", src, isn, client, server)
}

// Two logs of the same handshakes show a clamp on the way, an option that is taken out and hops,
// though a NAT stands between them.
func TestCompare(t *testing.T) {
	t.Parallel()
	const plain, cut = `"mss":1460,"wscale":7,"sack_ok":true,"ts":1,"ttl":64,"ecn":false`, `"mss":1360,"wscale":7,"ts":9,"ttl":61,"ecn":false`
	const answer, clamped = `"mss":1460,"ttl":64,"ecn":false`, `"mss":1400,"ttl":61,"ecn":false`
	near := handshakeRecord(1, "192.0.2.1", plain, clamped) + handshakeRecord(2, "192.0.2.1", plain, clamped) +
		handshakeRecord(3, "192.0.2.1", plain, answer) + `{"time":"2026-11-26T07:50:00.000000Z","msg":"end","seq":4}` + "\n"
	far := handshakeRecord(2, "198.51.100.1", cut, answer) + handshakeRecord(1, "198.51.100.1", cut, answer) +
		handshakeRecord(9, "198.51.100.1", cut, answer)
	p, err := Compare(strings.NewReader(near), strings.NewReader(far))
	if err != nil {
		t.Fatal(err)
	}
	want := `2 handshakes in both logs, 1 near the clients alone, 1 near the servers alone
  SYN      mss     1460 → 1360, 2 of 2
  SYN      sack    permitted → none, 2 of 2
  SYN      ttl     64 → 61, 2 of 2
  SYN-ACK  mss     1460 → 1400, 2 of 2
  SYN-ACK  ttl     64 → 61, 2 of 2
`
	if diff := cmp.Diff(want, p.Report()); diff != "" || !p.Meddled() {
		t.Errorf("meddled %t (-want +got):\n%s", p.Meddled(), diff)
	}
	same, err := Compare(strings.NewReader(near), strings.NewReader(near))
	if err != nil || same.Meddled() || same.Handshakes != 3 || !strings.Contains(same.Report(), "unchanged on the way") {
		t.Errorf("a log beside itself: %+v, %v", same, err)
	}
	single := handshakeRecord(1, "192.0.2.1", plain, answer)
	one, err := Compare(strings.NewReader(single), strings.NewReader(single))
	if err != nil || !strings.HasPrefix(one.Report(), "1 handshake in both logs") {
		t.Errorf("one handshake: %+v, %v", one, err)
	}
	if _, err := Compare(strings.NewReader("no log\n"), strings.NewReader(far)); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v, want one for line 1", err)
	}
}
