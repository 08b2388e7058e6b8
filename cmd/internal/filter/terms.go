package filter

// Term is a part of a filter, for a search by other means before the filter judges: of its values
// one must match, or if it is negated, none.
type Term struct {
	Key     string // of [Keys], or "text" for a word that may stand in any text
	Negated bool
	Values  []string // in the form that the key takes
}

// Terms returns terms that must all match; whole is false if the filter asks for more than them and
// its times.
func (f *Filter) Terms() (terms []Term, whole bool) {
	for i := range f.clauses {
		c := &f.clauses[i]
		terms = append(terms, Term{c.key.name, c.negated, c.values})
	}
	return terms, len(f.not) == 0
}
