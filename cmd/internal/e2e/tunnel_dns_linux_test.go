package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// TestDNSTunnel has a command carry data out by names of a domain that it may ask for. That ends
// after some questions, and is on record. Of a domain that it may not ask for, none leaves.
func TestDNSTunnel(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	lab.Server.AddAddress("lo", resolver+"/32")
	dns := resolve(t, lab.Server, "--user=root", "--listen-address="+resolver, "--local=/#/", "--log-queries")
	dir := newEtc(t, "nameserver "+resolver+"\n")
	script := "for i in $(seq 200); do for d in allowed forbidden; do echo ${i}" + strings.Repeat("q", 50) +
		".t.$d.example TXT; done; done | dig +tries=1 +time=60 -f - >/dev/null"
	line := dir.asking(binary, "exec", "--format", "json", "-o", dir.path("log.json"),
		"--allow", "*.allowed.example", "--", "sh", "-c", script)
	began := time.Now()
	if got := command(t, lab.Router, line[0], line[1:]...); got.status != 0 {
		t.Fatalf("dig: %+v", got)
	}
	most := 61 + int(time.Since(began)/(2*time.Second)) // the burst, and one in two seconds
	asked := namesAsked(dns, "allowed.example")
	if strings.Contains(dns.Stderr(), "forbidden.example") || asked == 0 || asked > most {
		t.Errorf("the resolver was asked %d questions:\n%s", asked, dns.Stderr())
	}
	log, err := os.ReadFile(dir.path("log.json"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(log)) {
		var r struct{ Msg, Kind, Name string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Msg == "finding" {
			found = append(found, r.Kind+" "+r.Name)
		}
	}
	if len(found) != 1 || found[0] != "dns_tunnel allowed.example" {
		t.Errorf("findings: %q", found)
	}
}

// namesAsked counts the names of a domain that a resolver was asked for: a question may come again.
func namesAsked(dns *tuntest.Process, domain string) int {
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`query\[\w+\] (\S+) from`).FindAllStringSubmatch(dns.Stderr(), -1) {
		if name := strings.ToLower(m[1]); strings.HasSuffix(name, "."+domain) {
			names[name] = true
		}
	}
	return len(names)
}

// TestIodine has a real tunnel through the DNS, where it is installed. By a domain that the command
// may ask for it gets no further than the budget of questions; by another, nothing leaves.
func TestIodine(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "ping", "unshare")
	if _, err := exec.LookPath("iodined"); err != nil {
		t.Skip("needs iodine")
	}
	lab := tuntest.NewLab(t)
	lab.Server.AddAddress("lo", resolver+"/32")
	lab.Server.AddAddress("lo", addrOfElse+"/32")
	dns := resolve(t, lab.Server, "--user=root", "--listen-address="+resolver, "--local=/#/", "--log-queries",
		"--server=/t.allowed.example/t.forbidden.example/"+addrOfElse)
	tunnel := lab.Server.Start("iodined", "-f", "-c", "-P", "secret", "-l", addrOfElse, "-n", addrOfElse,
		"10.99.0.1/24", "t.allowed.example")
	tuntest.Wait(t, "iodined to listen", func() bool { return strings.Contains(tunnel.Stderr(), "Listening") })
	dir := newEtc(t, "nameserver "+resolver+"\n")
	began := time.Now()
	for domain, says := range map[string]string{
		"t.allowed.example":   "refused DNS queries", // on standard error
		"t.forbidden.example": "t.forbidden.example", // in the explanations
	} {
		line := dir.asking(binary, "exec", "-o", "/dev/null", "--allow", "*.allowed.example",
			"--explain", dir.path("explain"), "--", "sh", "-c",
			"ping -i 0.1 10.99.0.1 >/dev/null 2>&1 & iodine -f -r -P secret "+domain+" >/dev/null 2>&1 & "+
				"until [ -e /etc/stop-"+domain+" ]; do sleep 0.1; done; kill $(jobs -p)")
		tunnelling := lab.Router.Start(line[0], line[1:]...)
		tuntest.Wait(t, "questions of "+domain+" to be refused", func() bool {
			explained, _ := os.ReadFile(dir.path("explain"))
			return strings.Contains(tunnelling.Stderr()+string(explained), says)
		})
		dir.write(t, "stop-"+domain, "")
		<-tunnelling.Done()
	}
	most := 61 + int(time.Since(began)/(2*time.Second))
	asked := namesAsked(dns, "allowed.example")
	if strings.Contains(dns.Stderr(), "forbidden.example from") || asked == 0 || asked > most {
		t.Errorf("the resolver was asked %d questions, of at most %d:\n%s", asked, most, dns.Stderr())
	}
}
