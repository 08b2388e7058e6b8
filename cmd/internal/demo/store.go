//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"

	"syntap/cmd/internal/hint"
)

// storeModule is the store's program with its version.
const storeModule = "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1"

// findStore returns the path of the store's program: that in PATH, one that an earlier demo has
// built, or one that it builds now, and says so on w.
func findStore(ctx context.Context, w *os.File) (file string, err error) {
	if file, err := exec.LookPath("victoria-logs"); err == nil {
		return filepath.Abs(file)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(storeModule, "@")
	dir := filepath.Join(cache, "syntap", "victoria-logs-"+version)
	file = filepath.Join(dir, "victoria-logs")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return "", hint.Fail(errors.New("neither victoria-logs, the store, nor Go to build it is in PATH"),
			"where Go is: go install "+storeModule)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(w, "The store is built once, in a minute or two, with 250 MB of modules:\n")
	fmt.Fprintf(w, "    go install %s\n", storeModule)
	cmd := exec.CommandContext(ctx, compiler, "install", "-v", storeModule)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	p := &progress{w: io.Discard}
	if term.IsTerminal(w.Fd()) {
		p.w = w
	}
	cmd.Stdout, cmd.Stderr = p, p
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", hint.Fail(fmt.Errorf("build the store: %w\n%s", err, p.last),
			"put it into PATH on a machine that reaches a Go module proxy: go install "+storeModule)
	}
	p.end()
	return file, nil
}

// progress shows on one line how far go install is: it names each module and package.
type progress struct {
	w    io.Writer
	n    int
	last string // lines, but for those that name a package or a module
}

func (p *progress) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, " ") && !strings.HasPrefix(line, "go: downloading") {
			p.last += line
			continue
		}
		p.n++
		fmt.Fprintf(
			p.w, "\r%4d  %-72.72s", p.n, strings.TrimSpace(strings.TrimPrefix(line, "go: ")),
		)
	}
	return len(b), nil
}

func (p *progress) end() { fmt.Fprintf(p.w, "\r%-80s\r", "") }

// startStore starts the store with a directory of its own, and waits until it answers. stop ends
// it.
func startStore(ctx context.Context, program, dir string) (url string, stop func(), err error) {
	const address = "127.0.0.1:9428"
	log, err := os.Create(filepath.Join(dir, "store.log"))
	if err != nil {
		return "", nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(
		ctx, program, "-storageDataPath="+filepath.Join(dir, "store"), "-httpListenAddr="+address,
	)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	if err := waitHealthy(ctx, "http://"+address, ended); err != nil {
		stop()
		text, _ := os.ReadFile(log.Name())
		return "", nil, fmt.Errorf("%w\n%s", err, text)
	}
	return "http://" + address, stop, nil
}

// waitHealthy waits until the store answers.
func waitHealthy(ctx context.Context, url string, ended <-chan struct{}) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", http.NoBody)
	if err != nil {
		return err
	}
	for {
		if answer, err := http.DefaultClient.Do(request); err == nil {
			answer.Body.Close()
			return nil
		}
		select {
		case <-ended:
			return errors.New("the store has ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
