package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/pathmtu"
)

// mtuOptions are the flags of mtu.
type mtuOptions struct {
	asJSON, only4, only6 bool
	path, pair           string
	timeout              time.Duration
}

func newMTUCommand() *cobra.Command {
	var o mtuOptions
	cmd := &cobra.Command{
		Use:   "mtu [--json] [--url PATH] HOST[:PORT] | --pair FILE LOG",
		Short: "Find a path MTU black hole, and the clamp that cures it",
		Long: `Measure the largest packets that pass to a host and back with TCP: by the segments that the far end
acknowledges, and by the segments that arrive for a smaller and a larger announced MSS. This needs
no privilege, and takes ten seconds at most unless --timeout says otherwise. The service at the
port, by default 443, must speak TLS, HTTP, SSH or anything that sends more than a full segment;
otherwise only the way up is measured. The path MTU that ICMP reports is printed for comparison.

With --pair it measures nothing, but compares two JSON logs of the same handshakes: LOG from near
the clients, FILE from near the servers, for instance by "syntap replay --format json" from captures
at both ends. It lists the changes on the way: MSS, SACK, window scale, timestamps, ECN, DF, window
and TTL. Handshakes are matched by their initial sequence numbers.

Exit status: 0 no black hole, 1 a black hole, 2 no decision or no connection; with --pair 0
unchanged except the TTL, 1 changed, 2 no handshake in common.`,
		Example: `  syntap mtu example.com
  syntap mtu --json --url /large.iso 192.0.2.1:80
  syntap mtu --pair server.json client.json`,

		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d arguments, want one host, or one log with --pair", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[0])
		},
	}
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&o.path, "url", "/", "ask a web server for `PATH`, something large")
	cmd.Flags().DurationVar(&o.timeout, "timeout", pathmtu.Patience, "take `DURATION` at most; more helps where packets are lost")
	cmd.Flags().StringVar(&o.pair, "pair", "", "compare a log with that of the other end, `FILE`")
	cmd.Flags().BoolVarP(&o.only4, "ipv4", "4", false, "IPv4 only")
	cmd.Flags().BoolVarP(&o.only6, "ipv6", "6", false, "IPv6 only")
	return cmd
}

// run measures the path to target or, with pair, compares the log target with another.
func (o *mtuOptions) run(cmd *cobra.Command, target string) error {
	if o.pair != "" {
		return comparePair(cmd, target, o.pair, o.asJSON)
	}
	if !strings.HasPrefix(o.path, "/") || strings.ContainsAny(o.path, " \r\n\t") {
		return hint.Usage(fmt.Errorf("--url %q is no path", o.path), "give one that begins with a slash, such as /index.html")
	}
	if o.timeout <= 0 {
		return hint.Usage(fmt.Errorf("--timeout %v is not positive", o.timeout), "give one such as 30s")
	}
	network := "ip"
	switch {
	case o.only4 && o.only6:
		return hint.Usage(errors.New("-4 and -6 exclude each other"), "give one of them")
	case o.only4:
		network = "ip4"
	case o.only6:
		network = "ip6"
	}
	result, err := measureMTU(cmd, target, network, o.path, o.timeout)
	if err != nil {
		return err
	}
	text := []byte(result.Report())
	if o.asJSON {
		if text, err = indented(result); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	if _, err := cmd.OutOrStdout().Write(text); err != nil {
		return err
	}
	return verdictOf(result)
}

// comparePair compares the logs of two ends.
func comparePair(cmd *cobra.Command, near, far string, asJSON bool) error {
	var logs [2]io.ReadCloser
	for i, path := range []string{near, far} {
		log, err := logfile.OpenRead(path)
		if err != nil {
			return hint.Usage(err, "name two JSON logs: --pair FAR NEAR")
		}
		defer log.Close()
		logs[i] = log
	}
	p, err := pathmtu.Compare(logs[0], logs[1])
	if err != nil {
		return hint.Usage(fmt.Errorf("compare %s and %s: %w", near, far, err),
			`make a log of a capture by "syntap replay --format json"`)
	}
	text := []byte(p.Report())
	if asJSON {
		if text, err = indented(p); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	if _, err := cmd.OutOrStdout().Write(text); err != nil {
		return err
	}
	switch {
	case p.Handshakes == 0:
		return hint.Usage(errors.New("the logs have no handshake in common"),
			"a router that ends connections, such as syntap, begins others with numbers of its own")
	case p.Meddled():
		return hint.Exit(hint.StatusFailure)
	}
	return nil
}

// verdictOf returns the error that gives the program the exit status of a verdict.
func verdictOf(r *pathmtu.Result) error {
	switch r.Verdict {
	case pathmtu.Clear:
		return nil
	case pathmtu.Undecided:
		remedy := "name another port that sends more, such as that of a web server"
		switch {
		case r.Disagree:
			remedy = "measure once more, to see whether it was chance"
		case r.Late:
			remedy = "give it more time with --timeout, or " + remedy
		case r.Up != nil && (r.Protocol == pathmtu.HTTP || r.Protocol == pathmtu.TLS):
			remedy = "ask for something large with --url PATH"
		}
		return hint.Usage(fmt.Errorf("undecided: %s", r.Note), remedy)
	default:
		return hint.Exit(hint.StatusFailure)
	}
}

// measureMTU measures the path to the first address of a host that accepts a connection.
func measureMTU(
	cmd *cobra.Command, target, network, path string, timeout time.Duration,
) (*pathmtu.Result, error) {
	host, port, err := splitTarget(target)
	if err != nil {
		return nil, hint.Usage(err, "write HOST, HOST:PORT or [IPV6]:PORT")
	}
	progress := func(string) {}
	if term.IsTerminal(os.Stderr.Fd()) {
		progress = func(line string) { fmt.Fprintf(cmd.ErrOrStderr(), "\r\x1b[K%s", line) }
		defer fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	addresses, err := lookUp(ctx, host, network)
	if err != nil {
		return nil, err
	}
	result, err := pathmtu.Measure(ctx, pathmtu.Options{
		Host: host, Address: firstOpen(ctx, addresses, port), Path: path, Progress: progress, Timeout: timeout,
	})
	if err != nil {
		remedy := "name a port on which the host accepts connections, as HOST:PORT"
		if errors.Is(err, syscall.ENETUNREACH) {
			remedy = `"ip route get ADDRESS" shows whether this host has a route`
		}
		return nil, hint.Usage(err, remedy)
	}
	return result, nil
}

// lookUp returns the addresses of a host in the order in which to try them, at least one. Those of
// a link have its zone.
func lookUp(ctx context.Context, host, network string) (all []netip.Addr, err error) {
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, hint.Usage(fmt.Errorf("look up %s: %w", host, err), "check the name, and that this host has a resolver")
	}
	for _, ip := range found {
		a, ok := netip.AddrFromSlice(ip.IP)
		if a = a.Unmap().WithZone(ip.Zone); !ok || network == "ip4" && !a.Is4() || network == "ip6" && !a.Is6() {
			continue
		}
		if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
			return nil, hint.Usage(fmt.Errorf("%s is an address of each link", a), fmt.Sprintf("name the link too, as in %s%%eth0", a))
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		return nil, hint.Usage(fmt.Errorf("%s has no address of this family", host), "leave out -4 or -6")
	}
	return all, nil
}

// firstOpen returns the first of some addresses that accepts a connection, or the first one. Each
// is tried a quarter of a second after the one before it (RFC 8305, section 5).
func firstOpen(ctx context.Context, addresses []netip.Addr, port uint16) netip.AddrPort {
	first := netip.AddrPortFrom(addresses[0], port)
	if len(addresses) == 1 {
		return first
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := make(chan netip.AddrPort, len(addresses)) // invalid where none opens
	for i, a := range addresses {
		go func() {
			select {
			case <-time.After(time.Duration(i) * 250 * time.Millisecond):
			case <-ctx.Done():
			}
			to := netip.AddrPortFrom(a, port)
			c, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
			if err != nil {
				opened <- netip.AddrPort{}
				return
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
			opened <- to
		}()
	}
	for range addresses {
		if to := <-opened; to.IsValid() {
			return to
		}
	}
	return first
}

// splitTarget reads HOST[:PORT]; the port is 443 where none is named.
func splitTarget(s string) (host string, port uint16, err error) {
	if strings.Contains(s, "/") {
		return "", 0, fmt.Errorf("%q is no host and port", s)
	}
	host, number := s, "443"
	literal := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		literal = s[1 : len(s)-1]
	}
	if _, err := netip.ParseAddr(literal); err == nil {
		return literal, 443, nil
	}
	if strings.Contains(s, ":") {
		if host, number, err = net.SplitHostPort(s); err != nil {
			return "", 0, fmt.Errorf("%q is no host and port", s)
		}
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q is no port", number)
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n") {
		return "", 0, fmt.Errorf("%q is no host", host)
	}
	return host, uint16(n), nil
}
