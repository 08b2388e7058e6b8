package route

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnteringUIDs(t *testing.T) {
	t.Parallel()
	type uids = []UIDRange
	const last = lastUID
	tests := []struct {
		name                   string
		include, exclude, want uids
	}{
		{"all", nil, nil, uids{{0, last}}},
		{"some", uids{{1000, 1999}, {5, 5}}, nil, uids{{1000, 1999}, {5, 5}}},
		{"all but one", nil, uids{{1001, 1001}}, uids{{0, 1000}, {1002, last}}},
		{"all but the ends", nil, uids{{0, 0}, {last, last}}, uids{{1, last - 1}}},
		{
			"some but one",
			uids{{1000, 1999}},
			uids{{1500, 1500}},
			uids{{1000, 1499}, {1501, 1999}},
		},
		{
			"overlap at both ends",
			uids{{1000, 1999}},
			uids{{900, 1000}, {1999, 3000}},
			uids{{1001, 1998}},
		},
		{"none", uids{{1000, 1999}}, uids{{0, 5000}}, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, enteringUIDs(tt.include, tt.exclude)); diff != "" {
			t.Errorf("%s: enteringUIDs (-want +got):\n%s", tt.name, diff)
		}
	}
}
