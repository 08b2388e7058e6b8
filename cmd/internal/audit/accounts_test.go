package audit

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/record"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	kernel := func(n uint64, err error) func() (uint64, error) { return func() (uint64, error) { return n, err } }
	five, seven := &record.Frames{Read: 5, Accounted: 5}, &record.Frames{Read: 7, Accounted: 6}
	for _, tt := range []struct {
		name    string
		routers []*record.Frames
		read    func() (uint64, error)
		want    *record.Frames
	}{
		{"none", nil, kernel(9, nil), nil},
		{"one", []*record.Frames{five}, kernel(9, nil), five},
		{"two", []*record.Frames{five, seven}, kernel(9, nil), &record.Frames{Read: 12, Accounted: 11}},
		{"one has died", []*record.Frames{nil, five}, kernel(9, nil), &record.Frames{Read: 9, Accounted: 5, Died: 4}},
		{"one has died and had read nothing", []*record.Frames{nil, five}, kernel(5, nil), five},
		{"all have died", []*record.Frames{nil, nil}, kernel(9, nil), &record.Frames{Read: 9, Died: 9}},
		{"the kernel does not tell", []*record.Frames{nil, five}, kernel(0, errors.New("it is gone")), five},
		{"exec", []*record.Frames{nil, five}, nil, five},
		{"exec, all have died", []*record.Frames{nil}, nil, nil},
	} {
		var a accounts
		if tt.read != nil {
			a.countRead(tt.read)
		}
		for _, f := range tt.routers {
			a.add(f)
		}
		if diff := cmp.Diff(tt.want, a.sum()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
