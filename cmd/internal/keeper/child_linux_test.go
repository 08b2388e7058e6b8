package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logger"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/ring"
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
	relayed := make(chan struct{})
	close(relayed)
	c := &child{
		conn: ours, cmd: &process{exec.Command("sleep", "1000"), relayed}, patience: time.Second, opened: make(chan struct{}), running: make(chan struct{}),
		pong: make(chan struct{}, 1), reloaded: make(chan message.Reloaded, 1), done: make(chan struct{}),
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
			all := message.Word{Opened: true, Running: true, Pong: true, Reloaded: &message.Reloaded{Refused: "\x1b[2J"}}
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
	t.Run("records", func(t *testing.T) { // and ends, as one does whose log has ended, before it is killed
		t.Parallel()
		c, says := liar(t)
		<-c.written
		if err := says.Send(message.Word{Ended: &message.Ended{Error: remote.ErrKeeper.Error()}}); err != nil {
			t.Fatal(err)
		}
		says.Close()
		_ = c.cmd.Process.Kill()
		c.written <- ring.ErrForged
		<-c.done
		if err := c.failure(); c.last != nil || !errors.Is(err, ring.ErrForged) {
			t.Errorf("a router that forges records has ended in order: %v, %v", c.last, err)
		}
	})
	t.Run("nothing more", func(t *testing.T) {
		t.Parallel()
		c, says := liar(t)
		says.Close()
		isEnded(t, c)
	})
	t.Run("takes no order to stop", func(t *testing.T) {
		t.Parallel()
		c, says := liar(t)
		stopped, stop := context.WithCancel(t.Context())
		stop()
		go func() { _, _ = new(keeper).follow(stopped, c) }()
		tuntest.Wait(t, "it to be killed", func() bool {
			stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
			return bytes.Contains(stat, []byte(") Z "))
		})
		says.Close()
		isEnded(t, c)
	})
	for name, message := range map[string]any{
		"a list": []int{1}, "a long one": message.Word{Reloaded: &message.Reloaded{Refused: strings.Repeat("x", maxWord)}},
		"another type": map[string]int{"Pong": 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, says := liar(t)
			if err := says.Send(message); err != nil {
				t.Fatal(err)
			}
			isEnded(t, c)
		})
	}
}

func isEnded(t *testing.T, c *child) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(tuntest.Patience):
		t.Error("the router is alive")
	}
}

// TestReloadOutlivesRouter has a router die of, or right before, a request for another config. The
// next one takes it; where none does, the config before stays in force, and the log says so.
func TestReloadOutlivesRouter(t *testing.T) {
	t.Parallel()
	inForce, next := config.Default(), config.Default()
	next.Log.Level = "debug"
	var said bytes.Buffer
	log, err := logger.New(inForce.Log, &said)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{log: log, records: &records{log: audit.NewLog(nil, audit.LogOptions{})}}
	k.config.Store(inForce)
	dead, says := liar(t)
	close(dead.running)
	says.Close()
	dead.kill()
	k.router.Store(dead)
	result := make(chan string, 1)
	ask := func() {
		go func() { result <- k.reload(t.Context(), func() (*config.Config, error) { return next, nil }) }()
	}
	// successor starts a router that dies after the order for a config, having answered it or not.
	successor := func(answers bool) {
		t.Helper()
		c, says := liar(t)
		k.router.Store(c)
		if err := says.Send(message.Word{Running: true}); err != nil {
			t.Fatal(err)
		}
		for {
			var o message.Order
			files, err := says.Receive(&o)
			channel.CloseFiles(files)
			if err != nil {
				t.Fatal(err)
			}
			if o.Reload {
				break
			}
		}
		if answers {
			if err := says.Send(message.Word{Reloaded: &message.Reloaded{Log: next.Log}}); err != nil {
				t.Fatal(err)
			}
			if refused := <-result; refused != "" || k.config.Load() != next {
				t.Errorf("the config is not in force: %q", refused)
			}
		}
		says.Close()
		c.kill()
	}
	ask()
	successor(false)
	successor(true)
	next = config.Default()
	ask()
	for range reloadTries {
		successor(false)
	}
	if refused := <-result; refused != errDead.Error() || k.config.Load() == next || !strings.Contains(said.String(), "config not reloaded") {
		t.Errorf("of a config by which routers die: %q, %s", refused, &said)
	}
}
