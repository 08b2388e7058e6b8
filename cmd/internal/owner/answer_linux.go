package owner

import "net/netip"

// read takes a message of a Remote apart: it notes the ends of clients, and returns the questions.
func (f *Finder) read(message []byte) (ids []uint32, queries []Query, err error) {
	r := reader{b: message}
	type end struct {
		client netip.AddrPort
		number uint64
	}
	var ends []end
	for len(r.b) > 0 {
		switch item(r.uint8()) {
		case itemEnd:
			number := r.uint64()
			ends = append(ends, end{r.client(), number})
		case itemQuestion:
			q := r.question()
			ids = append(ids, q.id)
			queries = append(queries, Query{Socket: q.Socket})
		default:
			r.bad, r.b = true, nil
		}
	}
	if r.bad || len(ids) > maxQuestions {
		return nil, nil, errMessage
	}
	for _, e := range ends {
		f.closedAs(e.client, e.number)
	}
	return ids, queries, nil
}

// Serve searches for the processes that a message of a Remote asks for. It calls reply with each
// answer, for Remote.Take, before it returns or from another goroutine. An error says that no
// Remote sends the message; reply is not called then.
func (f *Finder) Serve(questions []byte, reply func(answer []byte)) error {
	ids, queries, err := f.read(questions)
	if err != nil {
		return err
	}
	for i := range queries {
		queries[i].Done = func(p Process, why Reason) {
			reply(appendAnswer(make([]byte, 0, usualAnswer), &answer{ids[i], why, p}))
		}
	}
	f.Search(queries)
	for i := range queries {
		if q := &queries[i]; !q.Searching {
			q.Done(q.Process, q.Reason)
		}
	}
	return nil
}

// usualAnswer is room for most answers, in bytes.
const usualAnswer = 256

// Answer searches for the process of the socket that a Question of another process is about. It
// calls done once, before it returns or from another goroutine. An error says that no Remote asks
// so; done is not called then.
func (f *Finder) Answer(question []byte, done func(Socket, Process, Result)) error {
	_, queries, err := f.read(question)
	if err != nil {
		return err
	}
	if len(queries) != 1 {
		return errMessage
	}
	q := &queries[0]
	q.Done = func(p Process, why Reason) { done(q.Socket, p, resultOf(why)) }
	if f.Search(queries); !q.Searching {
		done(q.Socket, q.Process, resultOf(q.Reason))
	}
	return nil
}
