package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"syntap/cmd/internal/format/formattest"
)

// samples returns lines of JSON logs by name; together they have every key that a format reads.
func samples(tb testing.TB) map[string]string {
	tb.Helper()
	b, err := os.ReadFile("testdata/records.txt")
	if err != nil {
		tb.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "\n") // a comment
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	all := make(map[string]string)
	for i := 0; i+1 < len(lines); i += 2 {
		all[lines[i]] = lines[i+1]
	}
	return all
}

func decode(tb testing.TB, line string) *Record {
	tb.Helper()
	if !json.Valid([]byte(line)) {
		tb.Fatalf("not JSON: %s", line)
	}
	r := new(Record)
	new(Decoder).Decode([]byte(line), r)
	return r
}

// connection returns the connection that a record alone shows.
func connection(r *Record) *Connection {
	if r.Type == Flow {
		return &Connection{End: r}
	}
	return &Connection{Opening: r}
}

// decodeOutput decodes a line of output.
func decodeOutput(tb testing.TB, line []byte) (object map[string]any) {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	err := d.Decode(&object)
	if err != nil || !bytes.HasSuffix(line, []byte("}\n")) || bytes.Count(line, []byte("\n")) != 1 {
		tb.Fatalf("not one line of JSON: %q, %v", line, err)
	}
	return object
}

// get returns a member of a nested object by its path.
func get(object map[string]any, path string) any {
	var value any = object
	for key := range strings.SplitSeq(path, ".") {
		o, _ := value.(map[string]any)
		value = o[key]
	}
	return value
}

// valid holds the events of a record in each format against the facts of its schema.
func valid(t *testing.T, name string, r *Record) {
	t.Helper()
	errs := []error{formattest.OCSF(new(OCSF).Append(nil, r)), formattest.ECS(new(ECS).Append(nil, r))}
	if !r.OfNoConnection() {
		errs = append(errs, formattest.Zeek(new(Zeek).Append(nil, connection(r))))
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestSamplesAreValid(t *testing.T) {
	t.Parallel()
	for name, line := range samples(t) {
		valid(t, name, decode(t, line))
	}
}

// expected has the words of the formats for each sample: in OCSF activity, status, action, in ECS
// outcome and types, in Zeek conn_state and history. "-" = absent.
const expected = `
established      1 1 1   success connection,start,allowed   S1     ShA
captured         1 1 3   success connection,start           S1     ShA
rewritten        1 1 4   success connection,start,allowed   S1     SShA
refused          5 2 1   failure connection,start,allowed   REJ    Sr
unreachable      4 2 1   failure connection,start,allowed   S0     S
no_reply         4 2 1   failure connection,start,allowed   S0     SS
half_open        4 2 1   failure connection,start,allowed   S1     Sh
aborted_early    3 2 1   failure connection,start,allowed   RSTOS0 SR
aborted          3 2 1   failure connection,start,allowed   RSTO   ShR
aborted_by       3 2 1   failure connection,start,allowed   RSTR   Shr
denied           1 2 2   failure connection,start,denied    REJ    S
fin              2 1 1   success connection,end             SF     DdFf
server_fin       2 1 1   success connection,end             SF     DdfF
rst              2 2 1   failure connection,end             RSTO   DdR
timeout          2 2 1   failure connection,end             RSTR   Ddr
query            1 1 1   unknown connection,start,allowed   S0     D
quic             1 1 1   unknown connection,start,allowed   S0     D
denied_datagram  1 2 2   failure connection,start,denied    S0     -
echo             1 1 1   unknown connection,start,allowed   OTH    D
answered         2 1 1   success connection,end             SF     Dd
unanswered       4 2 1   failure connection,end             S0     D
port_refused     5 2 1   failure connection,end             S0     D
echo_reply       2 1 1   success connection,end             OTH    Dd
`

func TestMapping(t *testing.T) {
	t.Parallel()
	all := samples(t)
	delete(all, "finding")
	delete(all, "gap")
	delete(all, "end")
	for line := range strings.Lines(strings.TrimPrefix(expected, "\n")) {
		name := strings.ReplaceAll(strings.Fields(line)[0], "_", " ")
		if all[name] == "" { // its own name has one
			name = strings.Fields(line)[0]
		}
		r := decode(t, all[name])
		delete(all, name)
		o := decodeOutput(t, new(OCSF).Append(nil, r))
		e := decodeOutput(t, new(ECS).Append(nil, r))
		z := decodeOutput(t, new(Zeek).Append(nil, connection(r)))
		var types []string
		for _, word := range get(e, "event.type").([]any) {
			types = append(types, word.(string))
		}
		history := "-"
		if h, ok := z["history"].(string); ok {
			history = h
		}
		got := fmt.Sprintf("%-16s %v %v %v   %v %-26s %-6v %s\n", strings.ReplaceAll(name, " ", "_"), o["activity_id"],
			o["status_id"], o["action_id"], get(e, "event.outcome"), strings.Join(types, ","), z["conn_state"], history)
		if got != line {
			t.Errorf("got  %swant %s", got, line)
		}
	}
	if len(all) > 0 {
		t.Errorf("nothing is expected of %v", slices.Sorted(maps.Keys(all)))
	}
}

// Of more connections than a Zeek log remembers, the oldest have lines without their handshakes,
// and each has one line.
func TestZeekLogIsBounded(t *testing.T) {
	t.Parallel()
	const most, n = 10, 35
	l := ZeekLog{most: most}
	begin, end := decode(t, samples(t)["established"]), decode(t, samples(t)["fin"])
	for i := range uint32(n) {
		begin.ClientISN = i
		if b := l.Append(nil, begin); len(b) > 0 {
			t.Errorf("an open connection is written: %s", b)
		}
		if len(l.open)+len(l.older) > 2*most {
			t.Fatalf("%d connections are remembered", len(l.open)+len(l.older))
		}
	}
	whole := 0
	for i := range uint32(n) {
		end.ClientISN = i
		line := l.Append(nil, end)
		if err := formattest.Zeek(line); err != nil {
			t.Error(err)
		}
		if bytes.Contains(line, []byte(`"history":"ShADdFf"`)) {
			whole++
		}
	}
	if whole < most || whole > 2*most {
		t.Errorf("%d of %d lines have the handshake", whole, n)
	}
	if b := l.Close(nil); len(b) > 0 {
		t.Errorf("connections that are over are open: %s", b)
	}
	l.Append(nil, begin)
	if b := l.Close(nil); !bytes.Contains(b, []byte(`"conn_state":"S1"`)) || formattest.Zeek(b) != nil {
		t.Errorf("an open connection at the end is %q", b)
	}
}
