package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/format/formattest"
	"syntap/cmd/internal/record/recordtest"
)

// record holds those keys of a JSON record that tests look at.
type record struct {
	Seq      uint64   `json:"seq"`
	Message  string   `json:"msg"`
	Outcome  string   `json:"outcome"`
	Verdict  string   `json:"verdict"`
	Rule     string   `json:"rule"`
	Reason   string   `json:"reason"`
	Refused  int      `json:"refused"`
	Src      string   `json:"src"`
	Sport    int      `json:"sport"`
	Dst      string   `json:"dst"`
	Dport    int      `json:"dport"`
	Repeated int      `json:"syn_retransmits"`
	Again    int      `json:"synack_retransmits"`
	Lines    []string `json:"lines"`
	Server   struct {
		MSS *int `json:"mss"`
	} `json:"server"`
	Rewrites []struct {
		Packet string `json:"packet"`
		What   string `json:"what"`
		From   value  `json:"from"`
		To     value  `json:"to"`
		Rule   int    `json:"rule"`
	} `json:"rewrites"`
	Upstream struct {
		Local  string `json:"local"`
		Remote string `json:"remote"`
		MSS    int    `json:"mss"`
		Error  string `json:"error"`
	} `json:"upstream"`
}

// value is an MSS, a number in a record, or a word of the DF bit.
type value string

func (v *value) UnmarshalJSON(b []byte) error {
	*v = value(strings.Trim(string(b), `"`))
	return nil
}

// waitRecords waits for n records of handshakes in the log of a running router and returns all
// there are then.
func (r *router) waitRecords(t *testing.T, n int) []record {
	t.Helper()
	r.wait(t, fmt.Sprintf("%d records", n), func() bool { return strings.Count(r.read(t, "handshakes.json"), `"msg":"handshake"`) >= n })
	return r.records(t)
}

// records returns the whole records in the router's JSON log, but for those of datagrams and of
// ended connections and runs.
func (r *router) records(t *testing.T) []record {
	t.Helper()
	return parseRecords(t, r.read(t, "handshakes.json"))
}

// parseRecords returns the whole records in a JSON log.
func parseRecords(t *testing.T, log string) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(log) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var next record
		if err := json.Unmarshal([]byte(line), &next); err != nil {
			t.Fatalf("record %d: %v: %s", len(all), err, line)
		}
		all = append(all, next)
		if want := all[0].Seq + uint64(len(all)-1); next.Seq != want {
			t.Errorf("record %d has seq %d, want %d", len(all)-1, next.Seq, want)
		}
	}
	return slices.DeleteFunc(all, func(r record) bool { return r.Message == "datagram" || r.Message == "flow" || r.Message == "end" })
}

// checkRecords checks the JSON logs that the router has left against the schema of records, and
// that they have no false finding of unrecorded flows.
func (r *router) checkRecords(t *testing.T) {
	t.Helper()
	if r.Process != nil && !r.hostile && strings.Contains(r.Stderr(), "has sent unrecorded") {
		t.Errorf("flows are said to be unrecorded: %s", r.Stderr())
	}
	for _, pattern := range []string{"*.json", "*.json.gz", "*.json.[0-9]"} {
		for _, name := range r.files(t, pattern) {
			log := readLog(t, name)
			checkRecords(t, log)
			for line := range strings.Lines(log) {
				if !r.hostile && strings.Contains(line, `"kind":"unrecorded"`) {
					t.Errorf("%s has a finding of unrecorded flows: %s", name, line)
				}
			}
		}
	}
}

// checkRecords checks the whole lines of a JSON log against the schema of records, and each in the
// other formats against theirs.
func checkRecords(t *testing.T, log string) {
	t.Helper()
	var decoder format.Decoder
	for line := range strings.Lines(log) {
		if !strings.HasSuffix(line, "\n") {
			return
		}
		if err := recordtest.Validate([]byte(line)); err != nil {
			t.Errorf("record that does not fit the schema: %v", err)
			return
		}
		var r format.Record
		decoder.Decode([]byte(line), &r)
		c := format.Connection{Opening: &r}
		if r.Type == format.Flow {
			c = format.Connection{End: &r}
		}
		err := errors.Join(formattest.OCSF(new(format.OCSF).Append(nil, &r)), formattest.ECS(new(format.ECS).Append(nil, &r)))
		if !r.OfNoConnection() {
			err = errors.Join(err, formattest.Zeek(new(format.Zeek).Append(nil, &c)))
		}
		if err != nil {
			t.Errorf("%v; made of %s", err, line)
			return
		}
	}
}

// outcomes counts records by destination and outcome, as "203.0.113.2 80 established".
func outcomes(records []record) map[string]int {
	count := make(map[string]int)
	for _, r := range records {
		count[fmt.Sprintf("%s %d %s", r.Dst, r.Dport, r.Outcome)]++
	}
	return count
}
