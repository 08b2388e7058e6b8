package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"syntap/cmd/internal/hint"
)

// Parse reads a filter. Times are relative to now. Each error names the column of its term, from 1,
// and carries a hint where there is a remedy.
func Parse(text string, now time.Time) (*Filter, error) {
	f := new(Filter)
	terms, err := split(text)
	if err != nil {
		return nil, err
	}
	var errs hint.List
	for _, t := range terms {
		if err := f.term(&t, now); err != nil {
			errs = append(errs, at(t.column, err))
		}
	}
	if errs != nil {
		return nil, errs
	}
	return f, nil
}

// Add adds a value of a key, as "key:value" does. The error names neither.
func (f *Filter) Add(name, value string, now time.Time) error {
	k := keyOf(name)
	if k == nil {
		return fmt.Errorf("%q is no key", name)
	}
	return f.addValues(k, false, []string{value}, now)
}

// at puts the column of a term before an error.
func at(column int, err error) error {
	return hint.Usage(fmt.Errorf("column %d: %w", column, err), hint.Of(err))
}

// term is a term of a filter, split up.
type term struct {
	column  int // of its first character, from 1
	negated bool
	key     string // "" for a word
	values  []string
	whole   string // as it stands there, without "!" and quotes
	quoted  bool   // in part
}

func (f *Filter) term(t *term, now time.Time) error {
	if t.key == "" {
		return f.word(t)
	}
	k := keyOf(t.key)
	if k == nil {
		return noKey(t.key)
	}
	err := f.addValues(k, t.negated, t.values, now)
	if err != nil {
		err = hint.Usage(fmt.Errorf("%s: %w", t.key, err), hint.Of(err))
	}
	return err
}

func noKey(name string) error {
	remedy := "keys are " + strings.Join(Keys(), ", ")
	if near := hint.Nearest(name, Keys()); near != "" {
		remedy = fmt.Sprintf("did you mean %q?", near)
	}
	return hint.Usage(fmt.Errorf("%q is no key", name), remedy)
}

func (f *Filter) addValues(k *key, negated bool, values []string, now time.Time) error {
	if k.stage == ofTime {
		return f.addTime(k, negated, values, now)
	}
	var tests []test
	for _, value := range values {
		if value == "" {
			return errors.New("has no value")
		}
		judge, err := k.parse(value)
		if err != nil {
			return err
		}
		tests = append(tests, judge)
	}
	f.add(k, negated, values, tests)
	return nil
}

func (f *Filter) addTime(k *key, negated bool, values []string, now time.Time) error {
	if len(values) != 1 || negated {
		return errors.New("takes one time, without \"!\"")
	}
	first, last, err := parseTimes(values[0], now)
	if err != nil {
		return err
	}
	if k.name == "since" {
		f.narrow(first, time.Time{})
	} else {
		f.narrow(time.Time{}, last)
	}
	return nil
}

// word adds a word: an outcome, a protocol, a state, an address or prefix, else any text.
func (f *Filter) word(t *term) error {
	if t.whole == "" {
		return errors.New("a term is empty")
	}
	if k, judge := ofWord(t.whole); k != nil {
		f.add(k, t.negated, []string{t.whole}, []test{judge})
		return nil
	}
	if err := foreign(t.whole); err != nil && !t.quoted {
		return err
	}
	f.clauses = append(f.clauses, clause{&textKey, t.negated, []string{t.whole}, []test{contains(t.whole)}})
	return nil
}

// ofWord returns the key that a word is a value of, nil if it is none, and its test.
func ofWord(word string) (*key, test) {
	for _, name := range []string{"outcome", "proto", "state", "addr"} {
		k := keyOf(name)
		if judge, err := k.parse(word); err == nil {
			return k, judge
		}
	}
	return nil, nil
}

// foreign returns an error for words that have a meaning in other grammars: as text they would
// hardly match.
func foreign(word string) error {
	if slices.Contains([]string{"and", "or", "not", "&&", "||"}, strings.ToLower(word)) {
		return hint.Usage(fmt.Errorf("%q is no operator", word), "terms side by side must all match, and one "+
			"of several values, as in port:80,443; ! goes before a term; text may stand in quotes")
	}
	term := strings.TrimLeft(word, "-(")
	name, _, hasValue := strings.Cut(term, ":")
	known, _ := ofWord(strings.TrimRight(term, ")"))
	if term == word || known == nil && !(hasValue && keyOf(name) != nil) {
		return nil
	}
	return hint.Usage(fmt.Errorf("%q cannot stand before a term", word[:1]),
		"! takes what does not match, as in !refused, and there are no parentheses")
}

// split splits a filter into its terms.
func split(text string) (terms []term, err error) {
	runes := []rune(text)
	for i := 0; ; {
		for i < len(runes) && unicode.IsSpace(runes[i]) {
			i++
		}
		if i == len(runes) {
			return terms, nil
		}
		t := term{column: i + 1}
		if runes[i] == '!' {
			t.negated = true
			i++
		}
		end, err := t.read(runes, i)
		if err != nil {
			return nil, at(t.column, err)
		}
		i = end
		terms = append(terms, t)
	}
}

// read reads a term from its key or word on and returns where it ends.
func (t *term) read(runes []rune, from int) (end int, err error) {
	var value strings.Builder
	quoted := false
	for end = from; end < len(runes); end++ {
		c := runes[end]
		switch {
		case quoted && c == '\\' && end+1 < len(runes):
			end++
			value.WriteRune(runes[end])
		case c == '"':
			quoted, t.quoted = !quoted, true
		case quoted:
			value.WriteRune(c)
		case unicode.IsSpace(c):
			t.endValue(&value)
			return end, nil
		case c == ':' && t.key == "" && len(t.values) == 0 && !t.quoted && isKey(runes, from, end):
			t.key = value.String()
			value.Reset()
		case c == ',' && t.key != "":
			t.values = append(t.values, value.String())
			value.Reset()
		default:
			value.WriteRune(c)
		}
	}
	if quoted {
		return end, errors.New("a quote is not closed")
	}
	t.endValue(&value)
	return end, nil
}

func (t *term) endValue(value *strings.Builder) {
	t.values = append(t.values, value.String())
	if t.key == "" {
		t.whole = value.String()
	}
}

// isKey reports whether the text before a colon is a key, and not the beginning of an address: keys
// have letters and underscores only, and an address is one as a whole.
func isKey(runes []rune, from, colon int) bool {
	end := colon
	for end < len(runes) && !unicode.IsSpace(runes[end]) {
		end++
	}
	whole := string(runes[from:end])
	if _, err := ParsePrefix(whole); err == nil {
		return false
	}
	for _, c := range runes[from:colon] {
		if !(c >= 'a' && c <= 'z' || c == '_') {
			return false
		}
	}
	return colon > from
}

// ParsePrefix reads a value of the keys src, dst and addr: an address, which has all of its bits,
// or a prefix.
func ParsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix", s)
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}
