package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// result is a command's exit status and output.
type result struct {
	status         int // exit status; -1 = killed
	stdout, stderr string
}

// command runs a command in ns to its end, whatever that is.
func command(t *testing.T, ns *tuntest.Namespace, name string, args ...string) result {
	t.Helper()
	ctx, cancel := timeout()
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := ns.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("run %s: %v", name, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// timeout returns a context for one command that should take seconds.
func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 2*time.Minute)
}
