package owner

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// Cgroups that are made later are read when a socket has one, at most once in cgroupRest.
func TestCgroups(t *testing.T) {
	t.Parallel()
	c := &cgroups{root: t.TempDir(), rest: cgroupRest}
	t.Cleanup(c.close)
	makeDir := func(path string) (id uint64) {
		t.Helper()
		path = filepath.Join(c.root, path)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		return stat.Ino
	}
	id, now := makeDir("system.slice/ssh.service"), time.Now()
	tuntest.Wait(t, "the cgroup to be known", func() bool { return c.place(id, now) == place{unit: "ssh.service"} })
	if p := c.place(makeDir("init.scope"), now); p != (place{}) {
		t.Errorf("process 1 is in %+v", p)
	}
	c.mu.Lock()
	soon := c.next.Add(-1)
	c.mu.Unlock()
	other := makeDir("lxc.payload.web")
	if p := c.place(other, soon); p != (place{}) {
		t.Errorf("read too soon: %+v", p)
	}
	c.walks.Wait()
	later := soon.Add(time.Hour)
	tuntest.Wait(t, "the other cgroup to be known", func() bool { return c.place(other, later) == place{container: "web"} })
	if p := c.place(0, later); p != (place{}) {
		t.Errorf("no cgroup is %+v", p)
	}
}
