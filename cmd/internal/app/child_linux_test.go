package app

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/tun/tuntest"
)

// liar returns a child whose words the test says, by the channel returned.
func liar(t *testing.T) (*child, channel.Conn) {
	t.Helper()
	ours, file, err := channel.New()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(file.Fd()))
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := channel.Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{
		conn: ours, cmd: exec.Command("sleep", "1000"), opened: make(chan struct{}), running: make(chan struct{}),
		pong: make(chan struct{}, 1), reloaded: make(chan reloaded, 1), done: make(chan struct{}),
		written: make(chan error, 1),
	}
	c.written <- nil // it has no records
	if err := c.cmd.Start(); err != nil {
		t.Skipf("needs sleep: %v", err)
	}
	go c.listen()
	t.Cleanup(func() {
		theirs.Close()
		c.kill()
	})
	return c, theirs
}

// TestHostileRouter has a router say things that none says. The keeper takes it for one that is
// well, for as long as it says words, and kills it else.
func TestHostileRouter(t *testing.T) {
	t.Parallel()
	t.Run("words", func(t *testing.T) {
		t.Parallel()
		c, says := liar(t)
		for range 1000 { // more than anything holds
			all := word{Opened: true, Running: true, Pong: true, Reloaded: &reloaded{Refused: "\x1b[2J"}}
			if err := says.Send(all); err != nil {
				t.Fatal(err)
			}
		}
		<-c.opened
		<-c.running
		if c.isDone() {
			t.Error("a router that says words is dead")
		}
	})
	for name, message := range map[string]any{
		"a list": []int{1}, "a long one": word{Reloaded: &reloaded{Refused: strings.Repeat("x", maxWord)}},
		"another type": map[string]int{"Pong": 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, says := liar(t)
			if err := says.Send(message); err != nil {
				t.Fatal(err)
			}
			select {
			case <-c.done:
			case <-time.After(tuntest.Patience):
				t.Error("the router is alive")
			}
		})
	}
}
