package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

const downloadSize = 100 << 20

// serveHTTP serves handler on port 80 of both of the lab's server addresses.
func serveHTTP(t *testing.T, lab *tuntest.Lab, handler http.Handler) {
	t.Helper()
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: tuntest.Patience}
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "80"))
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		t.Cleanup(func() {
			server.Close()
			<-served
		})
	}
}

// urls of the lab's server, without a path.
func urls() []string {
	return []string{"http://" + tuntest.ServerAddr4, "http://[" + tuntest.ServerAddr6 + "]"}
}

// greeting answers every request with the address it came from.
var greeting = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintln(w, "hello,", host)
})

func TestGreeting(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything)
	for i, url := range urls() {
		// The server sees the router's own sockets, not the TUN's addresses.
		want := "hello, " + []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i] + "\n"
		if got := lab.Router.Run("curl", "-sS", url); got != want {
			t.Errorf("curl %s printed %q, want %q", url, got, want)
		}
	}
	records := r.waitRecords(t, 2)
	want := map[string]int{tuntest.ServerAddr4 + " 80 established": 1, tuntest.ServerAddr6 + " 80 established": 1}
	if diff := cmp.Diff(want, outcomes(records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	var lines []string
	for _, record := range records {
		lines = append(lines, record.Lines...)
		if want := 3 + record.Repeated + record.Again; len(record.Lines) != want {
			t.Errorf("%s: %d lines, want %d: %q", record.Dst, len(record.Lines), want, record.Lines)
		}
	}
	r.stop(t, unix.SIGTERM)
	if diff := cmp.Diff(strings.Join(lines, "\n")+"\n", r.read(t, "handshakes.txt")); diff != "" {
		t.Errorf("text log against the lines of the JSON log (-json +text):\n%s", diff)
	}
}

func TestParallelDownloads(t *testing.T) {
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	content := make([]byte, downloadSize)
	if _, err := io.ReadFull(rand.NewChaCha8([32]byte{2}), content); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(content)
	serveHTTP(t, lab, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "random", time.Time{}, bytes.NewReader(content))
	}))
	r := run(t, lab.Router, "syntap0", everything)

	const downloads = 10
	for _, url := range urls() {
		var running sync.WaitGroup
		for range downloads {
			running.Go(func() {
				ctx, cancel := timeout()
				defer cancel()
				sum, stderr := sha256.New(), new(bytes.Buffer)
				cmd := lab.Router.Command(ctx, "curl", "-sS", url)
				cmd.Stdout, cmd.Stderr = sum, stderr
				if err := cmd.Run(); err != nil {
					t.Errorf("curl %s: %v: %s", url, err, stderr)
				} else if got := sum.Sum(nil); !bytes.Equal(got, want[:]) {
					t.Errorf("curl %s received other bytes: SHA-256 %x, want %x", url, got, want)
				}
			})
		}
		running.Wait()
	}
	wantOutcomes := map[string]int{
		tuntest.ServerAddr4 + " 80 established": downloads,
		tuntest.ServerAddr6 + " 80 established": downloads,
	}
	if diff := cmp.Diff(wantOutcomes, outcomes(r.waitRecords(t, 2*downloads))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	r.stop(t, unix.SIGTERM)
}

func TestUpload(t *testing.T) {
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	}))
	r := run(t, lab.Router, "syntap0", everything)

	content := make([]byte, downloadSize)
	if _, err := io.ReadFull(rand.NewChaCha8([32]byte{3}), content); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(content)
	for _, url := range urls() {
		if got := lab.Router.Run("curl", "-sS", "-T", file, url+"/"); got != hex.EncodeToString(want[:]) {
			t.Errorf("server received from curl %s SHA-256 %s, want %x", url, got, want)
		}
	}
	r.stop(t, unix.SIGTERM)
}
