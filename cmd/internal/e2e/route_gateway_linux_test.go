package e2e_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestGatewayExample runs the example config of a gateway, with the lab's local network for its
// own, under strict reverse-path filters.
func TestGatewayExample(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping")
	example, err := os.ReadFile("../../../configs/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("192.168.1.0/24", "192.0.2.0/24", "fd00:1::/64", "2001:db8:1::/64", "/var/log/syntap", "DIR", "/run/syntap", "DIR").Replace(string(example))
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	for _, key := range []string{"all", "default", "wan0", "lan0"} {
		lab.Router.Sysctl("net.ipv4.conf."+key+".rp_filter", "1")
	}
	serveEcho(lab.Router, "[::]:22")
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", config)
	for i, url := range urls() {
		want := "hello, " + []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i] + "\n"
		if got := lab.Client.Run("curl", "-sS", url); got != want {
			t.Errorf("curl %s from the local network printed %q, want %q", url, got, want)
		}
		lab.Client.Run("ping", "-n", "-c1", "-w20", addresses()[i])
	}
	for _, host := range []string{"192.0.2.1", "2001:db8:1::1"} {
		lab.Client.Run("nc", "-z", host, "22") // the gateway itself
		lab.Client.Run("ping", "-n", "-c1", "-w20", host)
	}
	for _, host := range []string{tuntest.ClientAddr4, tuntest.ClientAddr6} {
		lab.Router.Run("ping", "-n", "-c1", "-w20", host)
		serveEcho(lab.Client, net.JoinHostPort(host, "7000"))
		lab.Router.Run("nc", "-z", host, "7000")
	}
	var clients []string
	for _, record := range r.waitRecords(t, 2) {
		clients = append(clients, record.Src)
	}
	if got := command(t, lab.Router, binary, "status", "--at", "unix:"+r.dir+"/http.sock"); got.status != 0 || !strings.Contains(got.stdout, "2 established") {
		t.Errorf("status: %+v", got)
	}
	r.stop(t, unix.SIGTERM)
	if diff := cmp.Diff([]string{tuntest.ClientAddr4, tuntest.ClientAddr6}, clients); diff != "" {
		t.Errorf("clients recorded (-want +got):\n%s", diff)
	}
	wantState(t, lab.Router, before)
}
