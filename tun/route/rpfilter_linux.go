package route

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// StrictReversePath returns the interfaces with a strict reverse-path filter (rp_filter=1, RFC 3704
// §2.2), in the calling thread's network namespace. Such an interface drops a packet that does not
// arrive by the route to its source. With Config.ByRules an uplink among them loses the replies to
// the router's own connections, because the kernel looks up the route without the mark and finds
// the TUN. The loose filter (rp_filter=2) is harmless. So is the strict one with
// Config.KeepInbound, where the lookup is that of a packet with a source.
func StrictReversePath() ([]string, error) {
	const strict = 1
	all, err := reversePathFilter("all")
	if err != nil {
		return nil, err
	}
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var names []string
	for _, l := range links {
		own, err := reversePathFilter(l.Name)
		if err != nil {
			return nil, err
		}
		// The larger value counts (Documentation/networking/ip-sysctl.rst).
		if max(all, own) == strict && l.Flags&net.FlagUp != 0 && l.Flags&net.FlagLoopback == 0 {
			names = append(names, l.Name)
		}
	}
	return names, nil
}

func reversePathFilter(link string) (int, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", link, "rp_filter"))
	if err != nil {
		return 0, fmt.Errorf("read reverse-path filter: %w", err)
	}
	mode, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read reverse-path filter of %s: %w", link, err)
	}
	return mode, nil
}

// reversePathStrict reports whether the interface link has the strict filter, or will have it when
// it is made.
func reversePathStrict(link string) bool {
	all, err := reversePathFilter("all")
	if err != nil {
		return false
	}
	own, err := reversePathFilter(link)
	if err != nil {
		own, err = reversePathFilter("default")
	}
	return err == nil && max(all, own) == 1
}

// checkLinkdown refuses a setting by which the kernel ignores the guard's routes, because no
// process has the guard open.
func checkLinkdown(c Config) error {
	const key = "net/ipv4/conf/all/ignore_routes_with_linkdown"
	b, err := os.ReadFile(filepath.Join("/proc/sys", key))
	if !c.Closed || err != nil || strings.TrimSpace(string(b)) == "0" {
		return nil
	}
	return fmt.Errorf("keep traffic inside after a crash: %s is not 0", key)
}
