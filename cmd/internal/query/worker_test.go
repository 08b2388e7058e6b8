package query

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNonEmpty(t *testing.T) {
	t.Parallel()
	var got []string
	for number, line := range nonEmpty(lineRun{lines: []byte("\n\na\n\n \nb\n\nc"), first: 7}) {
		got = append(got, fmt.Sprintf("%d %q", number, line))
	}
	want := []string{`9 "a\n"`, `11 " \n"`, `12 "b\n"`, `14 "c"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
