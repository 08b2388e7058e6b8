package main

// log has the mutations of the record's log.
func log() []mutation {
	list := []mutation{
		{
			behaviour: "each record names the one before",
			old:       `c.Last = c.Sum(b[from:])`,
			new:       `_ = c.Sum(b[from:])`,
		},
		{
			behaviour: "a key that every user may read is refused",
			old:       `if info.Mode().Perm()&0o007 != 0 {`,
			new:       `if info.Mode().Perm()&0 != 0 {`,
		},
		{
			behaviour: "a short key is refused",
			old:       `if len(key) < minKey || `,
			new:       `if `,
		},
		{
			behaviour: "the queue is bounded",
			old:       `if q.len() >= q.limit {`,
			new:       `if false {`,
		},
		{
			behaviour: "a SYN is dropped for a while before clients are refused",
			old:       `if now.Sub(a.kept.From) < refuseAfter {`,
			new:       `if false {`,
		},
		{
			behaviour: "records lost at the entrance are reported as a gap",
			old:       `if kept.Refused > 0 {`,
			new:       `if false {`,
		},
		{
			behaviour: "a file goes only when its heads are safe",
			old:       ` && (r.MayRemove == nil || r.MayRemove(files[1].paths[0]))`,
		},
		{
			behaviour: "a file is rotated when it is old",
			old:       ` || r.MaxAge > 0 && age >= r.MaxAge`,
		},
		{
			behaviour: "a record cut short is a break",
			old:       `v.broken("%s: cut short after seq %d", name, v.Last)`,
		},
	}
	return with(list, "cmd/internal", inAudit)
}
