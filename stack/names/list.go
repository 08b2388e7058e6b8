package names

// list has entries in the order of their last answer or use, the oldest first.
type list struct {
	which          int // of an entry's links
	oldest, newest *entry
}

type link struct{ older, newer *entry }

func (l *list) add(e *entry) {
	e.links[l.which] = link{older: l.newest}
	if l.newest != nil {
		l.newest.links[l.which].newer = e
	} else {
		l.oldest = e
	}
	l.newest = e
}

func (l *list) remove(e *entry) {
	at := e.links[l.which]
	if at.older != nil {
		at.older.links[l.which].newer = at.newer
	} else {
		l.oldest = at.newer
	}
	if at.newer != nil {
		at.newer.links[l.which].older = at.older
	} else {
		l.newest = at.older
	}
}

// renew makes an entry the newest.
func (l *list) renew(e *entry) {
	if l.newest != e {
		l.remove(e)
		l.add(e)
	}
}
