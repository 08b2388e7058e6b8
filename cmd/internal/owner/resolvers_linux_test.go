package owner

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// TestResolvers has processes of users listen for queries. It is not parallel: a child of this
// process, until it executes its program, holds this process's sockets too.
func TestResolvers(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	const user, other = 12345, 12346
	hold := func(uid uint32, network, address string) *exec.Cmd {
		t.Helper()
		var cmd *exec.Cmd
		if err := ns.Do(func() error {
			c, err := net.ListenPacket(network, address)
			if err != nil {
				return err
			}
			defer c.Close()
			f, err := c.(*net.UDPConn).File()
			if err != nil {
				return err
			}
			defer f.Close()
			cmd = exec.Command("sleep", "infinity") // as a resolver that has given root up
			cmd.ExtraFiles = []*os.File{f}
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: uid, NoSetGroups: true}, Pdeathsig: syscall.SIGKILL,
			}
			return cmd.Start()
		}); err != nil {
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
				t.Skipf("no process of another user: %v", err)
			}
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		return cmd
	}
	var r *Resolvers
	if err := ns.Do(func() (err error) { r, err = NewResolvers(); return err }); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	look := func(want bool) {
		t.Helper()
		if err := r.look(time.Now()); err != nil {
			t.Fatal(err)
		}
		if users := *r.users.Load(); users[user] != want || users[other] || users[0] {
			t.Errorf("users %v are resolvers, want %d: %t", users, user, want)
		}
	}
	look(false)
	hold(other, "udp4", "127.0.0.1:5353")
	look(false)
	first := hold(user, "udp4", "127.0.0.53:53")
	look(true)
	look(true)
	second := hold(user, "udp6", "[::]:53")
	look(true)
	for _, cmd := range []*exec.Cmd{first, second} {
		_, _ = cmd.Process.Kill(), cmd.Wait()
	}
	look(false)
}
