package tracker_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
)

// capture shows a tracker a packet that was captured whole.
func capture(tr *tracker.Tracker, at time.Time, b []byte) {
	tr.Observe(at, &tcpdump.Packet{Data: b, Length: len(b)})
}

// replay runs a script through a Tracker and returns its records.
func replay(tb testing.TB, text string) []*handshake.Record {
	var rec taptest.Recorder
	tr := tracker.New(rec.Options())
	at := taptest.Epoch
	for _, s := range taptest.Script(tb, text) {
		at = at.Add(s.After)
		capture(tr, at, s.TCP.Packet())
	}
	tr.Flush()
	return rec.Records
}

// scriptTest is a script of segments, and the records that it leads to.
type scriptTest struct{ name, script, want string }

func testScripts(t *testing.T, tests []scriptTest) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range replay(t, tt.script) {
				got = append(got, taptest.Describe(r))
			}
			if diff := cmp.Diff(taptest.Lines(tt.want), got); diff != "" {
				t.Errorf("script:\n%s\nrecords (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

// TestRules covers the rows of doc.go's table and the segments that must not mislead the rules.
func TestRules(t *testing.T) {
	t.Parallel()
	testScripts(t, []scriptTest{
		{
			"ordinary", "> S 1000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"no reply", "> S 1000",
			"no_reply 1000: S",
		},
		{
			"half open", "> S 1000\n< SA 5000 1001",
			"half_open 1000/5000: S SA",
		},
		{
			"midstream", "> PA 1001 5001 len 5\n< A 5001 1006\n< SA 5000 1001",
			"",
		},

		{
			"SYN again", "> S 1000\n> S 1000 +1s\n> S 1000 +2s\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 2/0: S S S SA A",
		},
		{
			"SYN again after its answer", "> S 1000\n< SA 5000 1001\n> S 1000 +1s\n> A 1001 5001",
			"established 1000/5000 again 1/0: S SA S A",
		},
		{
			"other SYN after its answer", "> S 1000\n< SA 5000 1001\n> S 1000 len 10\n> A 1011 5001",
			"half_open 1000/5000 again 1/0: S SA S",
		},
		{
			"SYN-ACK again", "> S 1000\n< SA 5000 1001\n< SA 5000 1001 +1s\n> A 1001 5001",
			"established 1000/5000 again 0/1: S SA SA A",
		},
		{
			"everything twice", "> S 1000\n> S 1000\n< SA 5000 1001\n< SA 5000 1001\n> A 1001 5001\n> A 1001 5001",
			"established 1000/5000 copies 2: S SA A",
		},
		{
			"SYN-ACK after the verdict", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},

		{
			"new number before the answer", "> S 90\n> S 100\n< SA 300 91\n> R 91\n< SA 400 101\n> A 101 401",
			"no_reply 90: S\nestablished 100/400: S SA SA A",
		},
		{
			"new number after the answer", "> S 90\n< SA 300 91\n> S 100\n< SA 400 101\n> A 101 401",
			"half_open 90/300: S SA\nestablished 100/400: S SA A",
		},

		{
			"SYN-ACK acknowledges nothing", "> S 1000\n< SA 5000 1000\n< SA 5000 1002\n> R 1002",
			"no_reply 1000: S SA SA",
		},
		{
			"right SYN-ACK after a wrong one", "> S 1000\n< SA 5000 1002\n> R 1002\n< SA 6000 1001\n> A 1001 6001",
			"established 1000/6000: S SA SA A",
		},
		{
			"second SYN-ACK with other number", "> S 1000\n< SA 5000 1001\n< SA 7000 1001\n> A 1001 7001\n> A 1001 5001",
			"established 1000/5000: S SA SA A",
		},
		{
			"all from one side", "> S 1000\n> SA 5000 1001\n> A 1001 5001",
			"no_reply 1000: S SA",
		},

		{
			"third segment with data", "> S 1000\n< SA 5000 1001\n> PA 1001 5001 len 20",
			"established 1000/5000: S SA PA",
		},
		{
			"third segment with FIN", "> S 1000\n< SA 5000 1001\n> FA 1001 5001\n< FA 5001 1002\n> S 2000",
			"established 1000/5000: S SA FA\nno_reply 2000: S",
		},
		{
			"third ACK lost", "> S 1000\n< SA 5000 1001\n> PA 1001 5001 len 8\n> PA 1009 5001 len 8",
			"established 1000/5000: S SA PA",
		},
		{
			"third ack too low", "> S 1000\n< SA 5000 1001\n> A 1001 5000\n< R 5000",
			"half_open 1000/5000: S SA",
		},
		{
			"third ack too high", "> S 1000\n< SA 5000 1001\n> A 1001 5002\n< R 5002\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"third seq too low", "> S 1000\n< SA 5000 1001\n> A 1000 5001",
			"half_open 1000/5000: S SA",
		},
		{
			"third seq too high", "> S 1000\n< SA 5000 1001\n> A 1100 5001",
			"half_open 1000/5000: S SA",
		},
		{
			"third segment without ACK", "> S 1000\n< SA 5000 1001\n> P 1001 5001 len 3",
			"half_open 1000/5000: S SA",
		},
		{
			"third segment from the server", "> S 1000\n< SA 5000 1001\n< A 1001 5001",
			"half_open 1000/5000: S SA",
		},
		{
			"ACK before the SYN-ACK", "> S 1000\n< A 5001 1001\n> A 1001 5001",
			"no_reply 1000: S",
		},
		{
			"server talks first", "> S 1000\n< SA 5000 1001\n< PA 5001 1001 len 30\n> A 1001 5031",
			"established 1000/5000: S SA A",
		},
		{
			"server closes at once", "> S 1000\n< SA 5000 1001\n< FA 5001 1001\n> A 1001 5002",
			"established 1000/5000: S SA A",
		},
		{
			"more acknowledged than the server said", "> S 1000\n< SA 5000 1001\n< PA 5001 1001 len 30\n> A 1001 5032",
			"half_open 1000/5000: S SA",
		},
		{
			"data on the SYN-ACK", "> S 1000\n< SA 5000 1001 len 4\n> A 1001 5005",
			"established 1000/5000: S SA A",
		},

		{
			"wrap", "> S 4294967295\n< SA 4294967295 0\n> A 0 0",
			"established 4294967295/4294967295: S SA A",
		},
		{
			"wrap in the data", "> S 4294967290 len 10\n< SA 4294967295 5\n> A 5 0",
			"established 4294967290/4294967295: S SA A",
		},
		{
			"equal numbers", "> S 7\n< SA 7 8\n> A 8 8",
			"established 7/7: S SA A",
		},

		{
			"fast open, data taken", "> S 1000 len 10\n< SA 5000 1011\n> A 1011 5001",
			"established 1000/5000: S SA A",
		},
		{
			"fast open, data refused", "> S 1000 len 10\n< SA 5000 1001\n> PA 1001 5001 len 10",
			"established 1000/5000: S SA PA",
		},
		{
			"fast open, half the data taken", "> S 1000 len 10\n< SA 5000 1006\n> PA 1006 5001 len 5",
			"established 1000/5000: S SA PA",
		},
		{
			"fast open, SYN again without data", "> S 1000 len 10\n> S 1000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 1/0: S S SA A",
		},
		{
			"fast open, SYN again with data", "> S 1000\n> S 1000 len 10\n< SA 5000 1011\n> A 1011 5001",
			"established 1000/5000 again 1/0: S S SA A",
		},
		{
			"fast open, more than the data taken", "> S 1000 len 10\n< SA 5000 1012\n> A 1012 5001",
			"no_reply 1000: S SA",
		},

		{
			"refused", "> S 1000\n< RA 0 1001",
			"refused 1000: S RA",
		},
		{
			"refused, then the same SYN", "> S 1000\n< RA 0 1001\n> S 1000 +500ms\n< RA 0 1001",
			"refused 1000 again 1/0 answers 1: S RA S RA",
		},
		{
			"refused, then the same SYN works", "> S 1000\n< RA 0 1001\n> S 1000 +500ms\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 again 1/0 conflict rst: S RA S SA A",
		},
		{
			"refused, then the same SYN much later", "> S 1000\n< RA 0 1001\n> S 1000 +11s\n< RA 0 1001",
			"refused 1000: S RA\nrefused 1000: S RA",
		},
		{
			"RST that acknowledges nothing", "> S 1000\n< RA 0 1000\n< R 1001\n< RA 0 1002",
			"no_reply 1000: S",
		},
		{
			"aborted by the client", "> S 1000\n< SA 5000 1001\n> R 1001",
			"aborted by client 1000/5000: S SA R",
		},
		{
			"aborted by the client with ACK", "> S 1000\n< SA 5000 1001\n> RA 1001 5001",
			"aborted by client 1000/5000: S SA RA",
		},
		{
			"aborted by the client before the answer", "> S 1000\n> R 1001",
			"aborted by client 1000: S R",
		},
		{
			"aborted by the server", "> S 1000\n< SA 5000 1001\n< R 5001",
			"aborted by server 1000/5000: S SA R",
		},
		{
			"aborted by the server after its data", "> S 1000\n< SA 5000 1001\n< PA 5001 1001 len 9\n< R 5010",
			"aborted by server 1000/5000: S SA R",
		},
		{
			"blind RSTs", "> S 1000\n> R 1000\n> R 1002\n< SA 5000 1001\n> R 1000\n> R 2000\n< R 5000\n< R 5002\n> A 1001 5001",
			"established 1000/5000 conflict rst: S SA A",
		},
		{
			"reset at once", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< RA 5001 1001",
			"established 1000/5000: S SA A",
		},

		{
			"simultaneous open", "> S 1000\n< S 5000\n> SA 1000 5001\n< SA 5000 1001\n> A 1001 5001\n< A 5001 1001",
			"established 1000/5000 simultaneous: S S SA SA",
		},
		{
			"simultaneous open with bare ACKs", "> S 1000\n< S 5000\n> A 1001 5001\n< A 5001 1001",
			"established 1000/5000 simultaneous: S S A A",
		},
		{
			"simultaneous open, one SYN-ACK", "> S 1000\n< S 5000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000 simultaneous: S S SA A",
		},
		{
			"simultaneous open, the client last", "> S 1000\n< S 5000\n< SA 5000 1001\n> SA 1000 5001",
			"established 1000/5000 simultaneous: S S SA SA",
		},
		{
			"simultaneous open, one side unheard", "> S 1000\n< S 5000\n> SA 1000 5001\n> A 1001 5001",
			"no_reply 1000/5000 simultaneous: S S SA",
		},
		{
			"simultaneous open reset", "> S 1000\n< S 5000\n< R 5001",
			"aborted by server 1000/5000 simultaneous: S S R",
		},

		{
			"port reuse", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> FA 1001 5001\n< FA 5001 1002\n> A 1002 5002\n> S 1000\n< SA 9000 1001\n> A 1001 9001",
			"established 1000/5000: S SA A\nestablished 1000/9000: S SA A",
		},
		{
			"port reuse after a RST", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< R 5001\n> S 2000\n< RA 0 2001",
			"established 1000/5000: S SA A\nrefused 2000: S RA",
		},
		{
			"SYN on a connection", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 9999\n< A 5001 1001\n> PA 1001 5001 len 5",
			"established 1000/5000: S SA A",
		},
		{
			"SYN on a connection that one side has closed", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> FA 1001 5001\n> FA 1001 5001\n> S 9999",
			"established 1000/5000: S SA A",
		},
		{
			"SYN of the server on a connection", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< S 77\n> A 1001 5001",
			"established 1000/5000: S SA A",
		},
		{
			"half-open discovery", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 400\n< A 5001 1001\n> R 1001\n> S 400\n< SA 8000 401\n> A 401 8001",
			"established 1000/5000: S SA A\nestablished 400/8000: S SA A",
		},
		{
			"connection that the server forgot", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 2000\n< SA 8000 2001\n> A 2001 8001",
			"established 1000/5000: S SA A\nestablished 2000/8000: S SA A",
		},
		{
			"connection that the server forgot half closed", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> FA 1001 5001\n> S 2000\n< SA 8000 2001\n> A 2001 8001\n< FA 8001 2001\n> S 3000",
			"established 1000/5000: S SA A\nestablished 2000/8000: S SA A",
		},
		{
			"port refused on a forgotten connection", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 2000\n< RA 0 2001",
			"established 1000/5000: S SA A\nrefused 2000: S RA",
		},
		{
			"connection continues after a SYN", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n> S 2000\n> S 3000\n> FA 1001 5001\n< FA 5001 1002",
			"established 1000/5000: S SA A",
		},
		{
			"roles change on reuse", "> S 1000\n< SA 5000 1001\n> A 1001 5001\n< R 5001\n< S 70\n> SA 90 71\n< A 71 91",
			"established 1000/5000: S SA A\nestablished 70/90: S SA A",
		},

		{
			"SYN with FIN", "> FS 1000\n< SA 5000 1001\n> A 1001 5001",
			"established 1000/5000: FS SA A",
		},
		{
			"SYN with RST", "> SR 1000\n< SA 5000 1001",
			"",
		},
	})
}
