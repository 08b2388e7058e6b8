package tap

import "syntap/tun/flow"

// DialDone takes the end of a dial. It is to be called before the client is answered, so that the
// record can say how.
func (t *Tap) DialDone(d flow.Dial) {
	tr := t.tracker
	sh, f := tr.find(d.Key)
	defer tr.deliver(sh)
	if f == nil {
		return
	}
	if f.challenged != nil && f.challenged.iss == d.ISN {
		tr.takeChallenged(sh, f, t.now())
	}
	if f.router == dialling && d.Answer != flow.Connected {
		f.router = idle
	}
	a := f.attempt
	if a == nil && f.class == held && f.router == idle {
		tr.move(sh, f, absent, t.now())
	}
	if a == nil || a.iss != d.ISN {
		return
	}
	tr.confirm(sh, a) // had the router known a connection it would not have dialled
	a.upstream = d.Upstream
	a.rec.Upstream = &a.upstream
	switch d.Answer {
	case flow.Denied:
		tr.finish(sh, f, Denied, t.now())
	case flow.NoReply:
		tr.finish(sh, f, a.unanswered(), t.now())
	}
}

// Forget says that the router has nothing left of an attempt whose dial had succeeded, or of the
// connection that came of it. An open attempt ends as half_open. Without the call the tap keeps a
// flow that was never established closed for as long as netstack could hold its endpoint by itself,
// and one that was for ever.
func (t *Tap) Forget(k flow.Key) {
	tr := t.tracker
	sh, f := tr.find(k)
	defer tr.deliver(sh)
	switch {
	case f == nil:
		return
	case f.class == established && f.iss == k.ISN:
		tr.move(sh, f, absent, t.now())
		return
	case f.attempt != nil && f.attempt.tentative && f.iss == k.ISN:
		f.gone = true
		return
	case !f.expects(k.ISN):
		return
	}
	f.router = idle
	if f.attempt != nil {
		tr.finish(sh, f, f.attempt.unanswered(), t.now())
	} else {
		tr.move(sh, f, absent, t.now())
	}
}

// find returns the flow of a live attempt with its shard, which is locked.
func (t *Tracker) find(k flow.Key) (*shard, *entry) {
	key := newFlowKey(k)
	sh := t.shard(t.hash(&key))
	sh.mu.Lock()
	return sh, sh.flows[key]
}

// expects reports whether the router works on the attempt with the client's number isn.
func (f *entry) expects(isn uint32) bool {
	switch {
	case f.router == accepting:
		return f.cNext == isn+1
	case f.router == idle:
		return false
	case f.attempt != nil:
		return f.attempt.iss == isn
	}
	return f.iss == isn
}
