package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name: it is gone when it is closed and its last
// process has ended.
type namespace struct {
	handle netns.NsHandle
}

func newNamespace() (namespace, error) {
	ns := namespace{handle: netns.None()}
	err := onOwnThread(func() (err error) {
		ns.handle, err = netns.New()
		return err
	})
	if err != nil {
		return ns, fmt.Errorf("make network namespace: %w", err)
	}
	return ns, nil
}

// onOwnThread calls f on a thread of its own use, whose network namespace f may change.
func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if err := netns.Set(before); err != nil {
			panic(fmt.Sprintf("bench: return to network namespace: %v", err)) // or the next command meets the host
		}
		before.Close()
		runtime.UnlockOSThread()
	}()
	return f()
}

// do calls f in the namespace. A process that f starts inherits it from its thread.
func (ns namespace) do(f func() error) error {
	return onOwnThread(func() error {
		if err := netns.Set(ns.handle); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// bind gives the namespace a name in the file system until unbind, for a program that has dropped
// the privilege to follow path.
func (ns namespace) bind(file string) error {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("name network namespace: %w", err)
	}
	if err := unix.Mount(ns.path(), file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("name network namespace %s: %w", file, err)
	}
	return nil
}

func unbind(file string) error {
	if err := unix.Unmount(file, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("remove name of network namespace %s: %w", file, err)
	}
	return nil
}

// path names the namespace for other programs as long as this one lives.
func (ns namespace) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(ns.handle))
}

// ip runs commands of ip(8), one a line.
func (ns namespace) ip(ctx context.Context, lines string) error {
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := ns.do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("run ip: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// sysctl sets a kernel parameter of the namespace.
func (ns namespace) sysctl(name, value string) error {
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	if err := ns.do(func() error { return os.WriteFile(path, []byte(value), 0) }); err != nil {
		return fmt.Errorf("set %s=%s: %w", name, value, err)
	}
	return nil
}

func (ns namespace) close() { ns.handle.Close() }
