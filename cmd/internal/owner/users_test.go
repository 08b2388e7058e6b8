package owner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	path, now := filepath.Join(t.TempDir(), "passwd"), time.Now()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * usersAge)
	}
	u := users{path: path}
	expect := func(want map[uint32]string) {
		t.Helper()
		for uid, name := range want {
			if got := u.name(uid, now); got != name {
				t.Errorf("user %d has the name %q, want %q", uid, got, name)
			}
		}
	}
	expect(map[uint32]string{0: ""})
	write("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n+nis:x:7:7::/:\nbroken\n:x:8:8::/:\nx:x:-1:0::/:\nalice:x:1000:1000::/:\n")
	expect(map[uint32]string{0: "root", 7: "", 8: "", 1000: "alice", 1: "", 4294967295: ""})
	write("bob:x:1000:1000::/:\n")
	expect(map[uint32]string{0: "", 1000: "bob"})
	u.set(strings.NewReader("carol:x:1000:1000::/:\n"))
	write("root:x:0:0::/:\n")
	expect(map[uint32]string{0: "", 1000: "carol"}) // what it was given counts, and no file
}
