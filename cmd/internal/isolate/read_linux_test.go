package isolate

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTake has two threads whose rights differ.
func TestTake(t *testing.T) {
	t.Parallel()
	const isolated = "Name:\tsyntap\nUid:\t0\t12\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n" +
		"CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	const free = "Name:\tsyntap\nUid:\t0\t12\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t0000000000203000\nCapEff:\t0000000000001000\n" +
		"CapBnd:\t0000000000000001\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n"
	type rights struct {
		NoNewPrivs bool
		Seccomp    Seccomp
		Permitted  uint64
		Bounding   uint64
	}
	for _, tt := range []struct {
		name    string
		threads []string
		want    rights
	}{
		{"one", []string{isolated}, rights{true, SeccompFilter, 0x1000, 0}},
		{"one that is free", []string{free}, rights{false, SeccompOff, 0x203000, 1}},
		{"both", []string{isolated, free}, rights{false, SeccompOff, 0x203000, 1}},
		{"both, the other way", []string{free, isolated}, rights{false, SeccompOff, 0x203000, 1}},
	} {
		p := Process{NoNewPrivs: true, Seccomp: SeccompStrict}
		var sets [5]uint64
		for _, text := range tt.threads {
			if err := p.take(text, &sets); err != nil {
				t.Fatal(err)
			}
		}
		if got := (rights{p.NoNewPrivs, p.Seccomp, sets[1], sets[3]}); got != tt.want || p.UID != 12 {
			t.Errorf("%s: %+v of user %d, want %+v of user 12", tt.name, got, p.UID, tt.want)
		}
	}
}

func TestWritableMounts(t *testing.T) {
	t.Parallel()
	const mounts = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
22 21 8:2 / /usr ro,relatime shared:2 master:3 - ext4 /dev/sda2 rw
23 21 8:3 / /media/a\040disk rw,nosuid - vfat /dev/sdb1 ro
24 21 0:5 / /var/log/with\040a\011tab rw - tmpfs tmpfs rw,size=1k
25 21 0:5 / /run rw - tmpfs tmpfs rw
26 25 0:6 / /run ro - tmpfs tmpfs rw
`
	if diff := cmp.Diff([]string{"/", "/var/log/with a\ttab"}, writableMounts(mounts)); diff != "" {
		t.Errorf("writable mounts (-want +got):\n%s", diff)
	}
}

func TestReadItself(t *testing.T) {
	t.Parallel()
	p, err := Read(os.Getpid(), Router)
	if err != nil {
		t.Fatal(err)
	}
	if p.PID != os.Getpid() || int(p.UID) != os.Geteuid() || p.Role != Router {
		t.Errorf("%+v, want process %d of user %d", p, os.Getpid(), os.Geteuid())
	}
}
