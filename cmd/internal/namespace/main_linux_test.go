package namespace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/namespace"
	"syntap/tun/tuntest"
)

// The test binary is also the programs that the tests run, by its first argument.
const (
	sessionProgram    = "session"    // run one session, like "syntap exec" without a router
	factsProgram      = "facts"      // print a command's view of its surroundings
	attemptsProgram   = "attempts"   // print which ways out are open to a command
	interruptsProgram = "interrupts" // count SIGINT until there is a line to read
	settingProgram    = "setting"    // make a setting, then run another of these programs in it
)

func TestMain(m *testing.M) {
	namespace.Main()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case sessionProgram:
			os.Exit(session(os.Args[2:]))
		case factsProgram:
			os.Exit(printFacts())
		case attemptsProgram:
			os.Exit(printAttempts())
		case interruptsProgram:
			os.Exit(countInterrupts())
		case settingProgram:
			os.Exit(enterSetting(os.Args[2], os.Args[3:]))
		}
	}
	tuntest.Main(m)
}

func session(args []string) int {
	o := options()
	flags := flag.NewFlagSet(sessionProgram, flag.ExitOnError)
	flags.StringVar(&o.TUN, "tun", o.TUN, "name of the TUN")
	flags.BoolVar(&o.AllowSetuid, "allow-setuid", false, "let set-user-id programs take their privileges")
	flags.Func("hide", "path to hide", func(path string) error { o.Hide = append(o.Hide, path); return nil })
	_ = flags.Parse(args)
	o.Command = flags.Args()

	s, err := namespace.Start(context.Background(), o)
	if err != nil {
		return hint.Report(os.Stderr, err)
	}
	defer s.Close()
	status, err := s.Run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "syntap: %v\n", err)
	}
	return status
}

// options returns the options that the sessions of these tests share.
func options() namespace.Options {
	return namespace.Options{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		TUN: "syntap0", MTU: 1400,
		Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/30"), netip.MustParsePrefix("fd53:7974::1/126")},
	}
}

// facts are a command's view of its surroundings.
type facts struct {
	Interfaces     []string // name, MTU and addresses
	ProcessOne     string   // the command line of process 1
	Processes      int
	ResolvConf     string
	PingGroupRange string
	UID, GID       int
	Capabilities   string // the effective ones
	SeesIntoInit   bool   // may read the files of any thread that only a tracer may
}

// printFacts is the command that tells them.
func printFacts() int {
	var f facts
	links, _ := net.Interfaces()
	for _, l := range links {
		addrs, _ := l.Addrs()
		f.Interfaces = append(f.Interfaces, fmt.Sprint(l.Name, " ", l.MTU, " ", addrs))
	}
	f.ProcessOne = strings.ReplaceAll(readFile("/proc/1/cmdline"), "\x00", " ")
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		if strings.Trim(p.Name(), "0123456789") == "" {
			f.Processes++
		}
	}
	f.ResolvConf = readFile("/etc/resolv.conf")
	f.PingGroupRange = strings.TrimSpace(readFile("/proc/sys/net/ipv4/ping_group_range"))
	threads, _ := filepath.Glob("/proc/1/task/*/environ")
	f.SeesIntoInit = slices.ContainsFunc(threads, func(path string) bool { return readFile(path) != "" })
	f.UID, f.GID = os.Getuid(), os.Getgid()
	for line := range strings.Lines(readFile("/proc/self/status")) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			f.Capabilities = strings.TrimSpace(value)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		return 1
	}
	return 0
}

func countInterrupts() int {
	interrupts := make(chan os.Signal, 9)
	signal.Notify(interrupts, os.Interrupt)
	line := make(chan error)
	go func() {
		_, err := os.Stdin.Read(make([]byte, 99))
		line <- err
	}()
	fmt.Fprintln(os.Stdout, "ready")
	for n := 0; ; {
		select {
		case <-interrupts:
			n++
			fmt.Fprintln(os.Stdout, "interrupt", n)
		case <-line:
			fmt.Fprintln(os.Stdout, "interrupts:", n)
			return 0
		}
	}
}

// readFile returns "" for a file that cannot be read.
func readFile(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// self returns a command that runs the test binary as one of its programs.
func self(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // the race detector makes every exit wait for a second
	return cmd
}

// inside returns the arguments of self for a session with this command; "facts" and "attempts"
// stand for the test binary.
func inside(command ...string) []string {
	if command[0] == factsProgram || command[0] == attemptsProgram {
		command = []string{"/proc/self/exe", command[0]}
	}
	return slices.Concat([]string{sessionProgram, "--"}, command)
}

// result is a program's exit status and output.
type result struct {
	Status         int
	Stdout, Stderr string
}

func run(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	cmd.WaitDelay = tuntest.Patience
	watchdog := time.AfterFunc(2*tuntest.Patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("run %q: %v", cmd.Args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// readUntil returns the text before a line, and fails the test if that line does not come.
func readUntil(t *testing.T, r io.Reader, line string) string {
	t.Helper()
	var text strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix("\n"+text.String(), "\n"+line+"\n"); {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("read %q, then %v; want the line %q", text.String(), err, line)
		}
		text.WriteByte(b[0])
	}
	return strings.TrimSuffix(text.String(), line+"\n")
}

// learn runs a command that ends with printing facts.
func learn(t *testing.T, cmd *exec.Cmd) facts {
	t.Helper()
	r := run(t, cmd)
	var f facts
	if err := json.Unmarshal([]byte(r.Stdout), &f); err != nil || r.Status != 0 {
		t.Fatalf("%q ended with %+v, want facts and status 0", cmd.Args, r)
	}
	return f
}
