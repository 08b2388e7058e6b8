//go:build linux

package gate

import (
	"bytes"

	"syntap/stack/inspect"
	"syntap/stack/peek"
)

// passName looks for the name in a client's first bytes, none of which have passed. all means that
// there will be no more.
//
// Bytes do not pass if a server may read a name in them that is not found here, such as a request
// with the name beyond inspect.MaxClient bytes or peek.MaxViews views. If the far side speaks
// first, the protocol is neither TLS nor HTTP, and its client does not wait.
func (t *Gate) passName(g *peek.Views, all bool, p Policy) Verdict {
	b := g.Join(nil, g.Size, inspect.MaxClient)
	if is, asks := inspect.IsPreface(b); is {
		t.asked = t.asked || asks
		t.EndWait()
		g.Cut(len(b)) // and look at the next ones
		return Pass
	}
	said := inspect.Strict(b)
	tooLong := said.Need > inspect.MaxClient || said.Need > 0 && g.Full()
	if said.Need > 0 && all && !tooLong { // the end of all bytes ends a line, too
		said = inspect.Strict(append(bytes.Clone(b), "\r\n\r\n"...))
	}
	switch unclear := said.Unclear || tooLong; {
	case (said.Need > 0 || unclear) && t.answered.Load() && !t.asked:
	case unclear, said.Need > 0 && (all || t.isLate()):
		return Unclear
	case said.Need > 0:
		return Wait
	case p.Contradicts(&said):
		return Contradicted
	}
	t.waits = false
	t.EndWait()
	return Pass
}

// NoteAnswer notes that the far side has sent something. It reports whether bytes of the client may
// have waited for that.
func (t *Gate) NoteAnswer() bool { return t.strict && !t.answered.Swap(true) }
