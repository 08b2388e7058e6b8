package pathmtu

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// exchange is a question to the far end and its answer, as TCP_INFO tells of them.
type exchange struct {
	bytes   int  // of answer that came in order, handshakes of TLS included
	longest int  // packet that brought it; 0 = unknown, as where it brought 536 bytes, or fewer and not evenly
	mss     int  // announced: less than asked for where the kernel knows of a smaller path MTU
	full    bool // a packet came than which the announced MSS allows no larger
	even    bool // most packets were that long
	spoken  bool // the answer is in the protocol of the question
	web     bool // it is one of HTTP, maybe in TLS
	ended   bool // the answer is complete, or the far end has closed
	stalled bool // it is not, and nothing more comes
}

// ask asks on a connection of its own that announces an MSS, until the exchange is enough, the
// answer is complete, or nothing has come for the patience given. It also ends where the answer
// comes in small pieces for three times as long.
func (t *target) ask(ctx context.Context, q question, mss int, patience time.Duration,
	enough func(*exchange) bool,
) (x exchange, err error) {
	c, err := t.connect(ctx, mss)
	if err != nil {
		return x, err
	}
	talk := &talk{question: q, host: t.host, path: t.path}
	done := make(chan struct{})
	go func() { talk.converse(c); close(done) }()
	defer func() { c.Close(); <-done }()
	asked, changed, spoke := time.Now(), time.Now(), time.Time{}
	for {
		select {
		case <-done:
			x.ended = true
		default:
		}
		before := x.bytes
		info, err := c.info()
		if err != nil {
			return x, err
		}
		x.read(c, info)
		x.spoken, x.web = talk.spoken.Load(), talk.web.Load()
		if x.bytes != before {
			changed = time.Now()
		}
		if before == 0 && x.bytes != 0 {
			t.answered(time.Since(asked))
			spoke = changed
		}
		if info.Unacked > 0 { // the question is still on its way
			changed = time.Now()
		}
		if x.ended || enough(&x) || !spoke.IsZero() && changed.Sub(spoke) > trickles*patience {
			return x, nil
		}
		if x.stalled = time.Since(changed) > patience; x.stalled || !pause(ctx) {
			return x, nil
		}
	}
}

// trickles is for how many times its patience an exchange goes on while more comes.
const trickles = 3

// read notes the state of the kernel.
func (x *exchange) read(c *conn, info *unix.TCPInfo) {
	segment := int(info.Rcv_mss)
	full := int(info.Advmss) // less the options that each segment has
	x.bytes = int(info.Bytes_received)
	x.full = segment >= full && x.bytes >= full
	x.mss = full + c.options
	segments := int(info.Data_segs_in)
	x.even = segments >= 3 && 10*x.bytes >= 7*segments*segment
	if x.bytes >= segment && (segment > defaultMSS || segment < defaultMSS && x.even) {
		x.longest = segment + c.options + c.headers
	}
}

// defaultMSS is TCP_MSS_DEFAULT, with which Linux begins its estimate of the received MSS. Where
// segments of one size come that are shorter, it becomes that.
const defaultMSS = 536
