package query

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/terminal"
)

// counts counts connections, or their bytes, by their values of some keys.
type counts struct {
	query *Query
	tallies
}

// tallies are the counts of connections.
type tallies struct {
	named      map[string]uint64 // by the values of the keys, with separator between them
	unnamed    uint64            // of connections without any value
	unmeasured uint64            // connections whose bytes are not known
}

// separator stands between values; names of processes and of DNS do not have it.
const separator = "\x00"

func newCounts(q *Query) *counts { return &counts{query: q} }

func (c *counts) add(connection *format.Connection) { c.addTo(&c.tallies, connection) }

// addTo counts a connection in t.
func (c *counts) addTo(t *tallies, connection *format.Connection) {
	n := uint64(1)
	if c.query.ByBytes {
		n = filter.Bytes(connection)
		if connection.State != format.Ended {
			t.unmeasured++
		}
	}
	var buf [256]byte
	key := buf[:0]
	named := false
	for i, name := range c.query.Top {
		if i > 0 {
			key = append(key, separator...)
		}
		value := filter.Value(connection, name)
		named = named || value != ""
		key = append(key, value...)
	}
	t.add(string(key), named, n)
}

// addValues counts connections with values of the keys.
func (c *counts) addValues(values []string, n uint64) {
	named := slices.ContainsFunc(values, func(value string) bool { return value != "" })
	c.tallies.add(strings.Join(values, separator), named, n)
}

func (t *tallies) add(key string, named bool, n uint64) {
	if !named {
		t.unnamed += n
		return
	}
	if t.named == nil {
		t.named = make(map[string]uint64)
	}
	t.named[key] += n
}

func (c *counts) merge(t *tallies) {
	if c.named == nil {
		c.named = make(map[string]uint64)
	}
	for key, n := range t.named {
		c.named[key] += n
	}
	c.unnamed += t.unnamed
	c.unmeasured += t.unmeasured
}

// print prints values with their counts, the largest first, and the connections without values.
func (c *counts) print(w io.Writer) error {
	keys := slices.SortedFunc(maps.Keys(c.named), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.named[b], c.named[a]), cmp.Compare(a, b))
	})
	if most := c.query.Last; most > 0 && len(keys) > most {
		keys = keys[:most]
	}
	var b bytes.Buffer
	switch c.query.Format {
	case JSON:
		c.json(&b, keys)
	case CSV:
		c.csv(&b, keys)
	default:
		c.table(&b, keys)
	}
	if c.unmeasured > 0 && c.query.Notice != nil {
		c.query.Notice(fmt.Sprintf("connections whose bytes are not known yet: %d", c.unmeasured))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// unit is the name of the counted.
func (c *counts) unit() string {
	if c.query.ByBytes {
		return "bytes"
	}
	return "count"
}

func (c *counts) table(b *bytes.Buffer, keys []string) {
	width := 8
	if len(keys) > 0 {
		width = max(width, len(strconv.FormatUint(c.named[keys[0]], 10)))
	}
	for _, key := range keys {
		values := strings.SplitN(key, separator, len(c.query.Top))
		for i, value := range values {
			values[i] = cmp.Or(terminal.Clean(value), "-")
		}
		fmt.Fprintf(b, "%*d  %s\n", width, c.named[key], strings.Join(values, "  "))
	}
	if c.unnamed > 0 {
		fmt.Fprintf(b, "unnamed: %d\n", c.unnamed)
	}
}

func (c *counts) json(b *bytes.Buffer, keys []string) {
	put := func(object map[string]any) {
		line, _ := json.Marshal(object) // strings and numbers
		b.Write(terminal.CleanJSON(line))
		b.WriteByte('\n')
	}
	for _, key := range keys {
		object := map[string]any{c.unit(): c.named[key]}
		for i, value := range strings.SplitN(key, separator, len(c.query.Top)) {
			if value != "" {
				object[c.query.Top[i]] = value
			}
		}
		put(object)
	}
	if c.unnamed > 0 {
		put(map[string]any{c.unit(): c.unnamed})
	}
}

// csv has the connections without values in a row without values.
func (c *counts) csv(b *bytes.Buffer, keys []string) {
	rows := csv.NewWriter(b)
	row := append([]string{c.unit()}, c.query.Top...)
	_ = rows.Write(row) // a buffer takes everything
	for _, key := range keys {
		row = append(row[:0], strconv.FormatUint(c.named[key], 10))
		for _, value := range strings.SplitN(key, separator, len(c.query.Top)) {
			row = append(row, terminal.Clean(value))
		}
		_ = rows.Write(row)
	}
	if c.unnamed > 0 {
		row = append(row[:0], strconv.FormatUint(c.unnamed, 10))
		for range c.query.Top {
			row = append(row, "")
		}
		_ = rows.Write(row)
	}
	rows.Flush()
}
