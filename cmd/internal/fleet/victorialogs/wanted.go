package victorialogs

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
)

// Wanted is the records that a search is for.
type Wanted struct {
	Router string // "" = all
	Filter *filter.Filter

	// Joined says that the records of a connection are wanted together: a flow is wanted where its
	// opening may match, whenever it is over.
	Joined bool
}

// logsQL returns a filter for the records that may match. Records that match pass it, and so does
// the other record of their connection; the reader judges the records that pass. Records about the
// log itself pass, too: a search is told of gaps.
func (w *Wanted) logsQL() string {
	parts := []string{stream(fleet.LogID{Router: w.Router}), "seq:range[0, inf)"}
	if since := w.Filter.Since; !since.IsZero() {
		parts = append(parts, "_time:>="+stamp(since))
	}
	if until := w.Filter.Until; !until.IsZero() {
		late := "gap"
		if w.Joined {
			late = "flow, gap, end"
		}
		parts = append(parts, fmt.Sprintf("(_time:<%s or msg:in(%s))", stamp(until), late))
	}
	terms, _ := w.Filter.Terms()
	for i := range terms {
		if text := logsQLOf(&terms[i]); text != "" {
			parts = append(parts, "(msg:in(finding, gap, end) or "+text+")")
		}
	}
	return strings.Join(parts, " ")
}

// stamp writes a time as LogsQL takes it. A record's time is of whole microseconds, and a bound
// that is not may be at the next one as well.
func stamp(t time.Time) string {
	if rounded := t.Truncate(time.Microsecond); !rounded.Equal(t) {
		t = rounded.Add(time.Microsecond)
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// logsQLOf returns a term in LogsQL; "" where the store has nothing that answers it. A store does
// not know the outcome of an opening without a handshake: that is its flow's.
func logsQLOf(t *filter.Term) string {
	if t.Key == "outcome" {
		return outcome(t)
	}
	of, ok := members[t.Key]
	if !ok {
		return ""
	}
	var values []string
	for _, value := range t.Values {
		text := of(value)
		if text == "" {
			return ""
		}
		values = append(values, text)
	}
	text := "(" + strings.Join(values, " or ") + ")"
	if t.Negated {
		return "!" + text
	}
	return text
}

// members has a way to search for values of each key that both records of a connection have. A
// value that the store cannot search for gives "".
var members = map[string]func(value string) string{
	"src":     func(value string) string { return address("src", value) },
	"dst":     func(value string) string { return address("dst", value) },
	"addr":    eitherAddress,
	"port":    port,
	"proto":   func(value string) string { return "proto:=" + quoted(value) },
	"process": process,
}

func address(member, value string) string {
	p, err := filter.ParsePrefix(value)
	switch {
	case err != nil || p.Addr().Is4In6():
		return ""
	case p.Addr().Is4() && p.IsSingleIP():
		return member + ":=" + quoted(p.Addr().String())
	case p.Addr().Is4():
		return member + ":ipv4_range(" + quoted(p.Masked().String()) + ")"
	}
	return member + ":ipv6_range(" + quoted(first(p)) + ", " + quoted(last(p)) + ")"
}

func first(p netip.Prefix) string { return p.Masked().Addr().String() }

func last(p netip.Prefix) string {
	b := p.Masked().Addr().As16()
	for bit := p.Bits(); bit < 128; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom16(b).String()
}

func eitherAddress(value string) string {
	if src := address("src", value); src != "" {
		return "(" + src + " or " + address("dst", value) + ")"
	}
	return ""
}

func port(value string) string {
	low, high, err := filter.ParseRange(value)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("dport:range[%d, %d]", low, high)
}

func process(value string) string {
	parts := strings.Split(value, "*")
	if len(parts) == 1 {
		return "process:=" + quoted(value)
	}
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return "(process:~" + quoted("(?s)^"+strings.Join(parts, ".*")+"$") + ` !process:="")`
}

// outcome wants the records with one of the outcomes, and their partners: the flows of
// established connections, and all of a connection without a handshake.
func outcome(t *filter.Term) string {
	var words []string
	flows := `msg:=flow !proto:="tcp"`
	for _, word := range t.Values {
		words = append(words, strconv.Quote(word))
		if word == "established" {
			flows = "msg:=flow"
		}
	}
	in := "outcome:in(" + strings.Join(words, ", ") + ")"
	if t.Negated {
		return "!(msg:=handshake " + in + ")"
	}
	return "(" + in + " or msg:=datagram or (" + flows + "))"
}
