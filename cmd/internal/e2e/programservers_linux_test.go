package e2e_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// programLab is a lab whose server has all that programs ask for.
type programLab struct {
	*tuntest.Lab
	programs []clientProgram
	user     uint32 // of the programs that do not run as root
	etc      etc
	dir      string // of files of programs and servers
	spki     string // hash of the certificate's key, in base64
}

// newProgramLab starts the servers that the programs need, of those that are installed.
func newProgramLab(t *testing.T, all []clientProgram) *programLab {
	t.Helper()
	lab := &programLab{
		Lab: tuntest.NewLab(t), programs: all, dir: t.TempDir(),
		etc: newEtc(t, "nameserver "+resolver+"\noptions timeout:5 attempts:6\n"),
	}
	must(t, os.Chmod(filepath.Dir(lab.dir), 0o755)) // for other users
	haveAll(lab.Server)
	names := []string{"--user=root", "--listen-address=" + resolver, "--local-ttl=300", "--local=/example.com/", "--address=/#/"}
	for i := range all {
		names = append(names, "--host-record="+strings.Join([]string{all[i].host(), all[i].addr4(), all[i].addr6()}, ","))
	}
	lab.Server.AddAddress("lo", resolver+"/32")
	resolve(t, lab.Server, names...)
	lab.serveGreetings(t)
	lab.serveText()
	for i := range all {
		for _, a := range []string{all[i].addr4(), all[i].addr6()} {
			go echoDatagrams(lab.Server.ListenPacket("udp", net.JoinHostPort(a, "7000")))
		}
		lab.serveProgram(t, &all[i])
	}
	lab.serveTools(t, all)
	return lab
}

// serveGreetings serves HTTP, and a repository with it, in clear and with TLS.
func (lab *programLab) serveGreetings(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", greeting)
	mux.Handle("/repository.git/", http.FileServer(http.Dir(lab.dir)))
	for _, port := range []string{":80", ":443"} {
		s := httptest.NewUnstartedServer(mux)
		s.Listener.Close()
		s.Listener = lab.Server.Listen("tcp", port)
		if port == ":80" {
			s.Start()
		} else {
			s.EnableHTTP2 = true
			s.StartTLS()
			lab.writeCertificate(t, s)
		}
		t.Cleanup(s.Close)
	}
	must(t, os.WriteFile(filepath.Join(lab.dir, "greeting"), []byte("hello\n"), 0o644))
}

// writeCertificate writes a test server's certificate and key to files.
func (lab *programLab) writeCertificate(t *testing.T, s *httptest.Server) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	must(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: s.Certificate().Raw},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		must(t, os.WriteFile(filepath.Join(lab.dir, name), pem.EncodeToMemory(block), 0o600))
	}
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	lab.spki = base64.StdEncoding.EncodeToString(sum[:])
}

// serveText serves an echo, and protocols that consist of a text.
func (lab *programLab) serveText() {
	serveEcho(lab.Server, ":7000")
	go serveAll(lab.Server.Listen("tcp", ":21"), lab.serveFTP)
	for _, port := range []string{":43", ":79"} {
		go serveAll(lab.Server.Listen("tcp", port), func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "hello\r\n")
			if port == ":43" {
				_, _ = c.Read(make([]byte, 100))
			}
		})
	}
}

// serveFTP serves FTP as far as a list of files goes, over a second connection (RFC 2428).
func (lab *programLab) serveFTP(c *net.TCPConn) {
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 hello")
	var data net.Listener
	for lines := bufio.NewScanner(c); lines.Scan(); {
		switch verb, _, _ := strings.Cut(lines.Text(), " "); strings.ToUpper(verb) {
		case "USER":
			say("230 logged in")
		case "TYPE":
			say("200 done")
		case "PWD":
			say(`257 "/"`)
		case "EPSV":
			data = lab.Server.Listen("tcp", net.JoinHostPort(c.LocalAddr().(*net.TCPAddr).IP.String(), "0"))
			say(fmt.Sprintf("229 passive (|||%d|)", data.Addr().(*net.TCPAddr).Port))
		case "LIST":
			say("150 here it comes")
			if d, err := data.Accept(); err == nil {
				_, _ = io.WriteString(d, "-rw-r--r-- 1 0 0 6 Jan 01 2026 greeting\r\n")
				_ = d.Close()
			}
			say("226 done")
		case "QUIT":
			say("221 goodbye")
			return
		default:
			say("502 unknown")
		}
	}
}

// serveProgram starts a server for one program, which serves one client at a time or has to know
// its address.
func (lab *programLab) serveProgram(t *testing.T, p *clientProgram) {
	t.Helper()
	switch p.name {
	case "iperf3", "iperf3-udp":
		lab.serve(t, net.JoinHostPort(p.addr4(), "5201"), "iperf3", "-s", "-B", p.addr4())
	case "snmpget":
		lab.write(t, "snmpd.conf", "rocommunity public\n")
		s := lab.Server.Start(toolPath("snmpd"), "-f", "-Lo", "-C", "-c", filepath.Join(lab.dir, "snmpd.conf"), "-I", "-smux", "udp:"+p.addr4()+":161", "udp6:["+p.addr6()+"]:161")
		tuntest.Wait(t, "snmpd to start", func() bool { return strings.Contains(s.Stdout()+s.Stderr(), "NET-SNMP version") })
	case "ntpdate", "chronyd":
		lab.write(t, p.name+".conf", "local stratum 10\nallow\ncmdport 0\nbindcmdaddress /\nbindaddress "+p.addr4()+"\nbindaddress "+p.addr6()+"\npidfile "+filepath.Join(lab.dir, p.name+".pid")+"\n")
		s := lab.Server.Start(toolPath("chronyd"), "-d", "-x", "-u", "root", "-f", filepath.Join(lab.dir, p.name+".conf"))
		tuntest.Wait(t, "chronyd to start", func() bool { return strings.Contains(s.Stdout()+s.Stderr(), "version") })
	}
}

// serve starts a server and waits until it accepts connections at an address.
func (lab *programLab) serve(t *testing.T, address, tool string, args ...string) {
	t.Helper()
	s := lab.Server.Start(toolPath(tool), args...)
	tuntest.Wait(t, tool+" to listen", func() bool {
		select {
		case <-s.Done():
			t.Fatalf("%s has ended: %v: %s%s", tool, s.Err(), s.Stdout(), s.Stderr())
		default:
		}
		c, err := lab.Server.Dial(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

func (lab *programLab) write(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(lab.dir, name), []byte(content), 0o644))
}

// serveTools starts the servers that programs need by name.
func (lab *programLab) serveTools(t *testing.T, all []clientProgram) {
	t.Helper()
	needed := make(map[string]bool)
	for i := range all {
		for tool := range strings.FieldsSeq(all[i].needs) {
			needed[tool] = true
		}
	}
	d := lab.dir
	for tool, start := range map[string]func(){
		"git":  func() { lab.makeRepository(t) },
		"sshd": func() { lab.serveSSH(t) },
		"go":   func() { lab.buildFetch(t) },
		"rsync": func() {
			lab.write(t, "rsyncd.conf", "use chroot = no\npid file = "+d+"/rsyncd.pid\n[greetings]\npath = "+d+"\n")
			lab.serve(t, "127.0.0.1:873", "rsync", "--daemon", "--no-detach", "--config="+d+"/rsyncd.conf")
		},
		"postgres": func() {
			data := lab.dataFor(t, "postgres")
			lab.Server.Run("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", toolPath("initdb"), "-D", data, "-A", "trust")
			hba := "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n"
			must(t, os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o644))
			lab.serve(t, "127.0.0.1:5432", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", toolPath("postgres"), "-D", data, "-h", "*", "-k", data)
		},
		"redis-server": func() {
			lab.serve(t, "127.0.0.1:6379", "redis-server", "--bind", "0.0.0.0", "::", "--protected-mode", "no", "--dir", d, "--save", "")
		},
		"mariadbd": func() {
			data := lab.dataFor(t, "mysql")
			lab.Server.Run("mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--tmpdir="+data, "--innodb-use-native-aio=0")
			lab.serve(t, "127.0.0.1:3306", "mariadbd", "--no-defaults", "--user=mysql", "--datadir="+data, "--socket="+data+"/socket", "--bind-address=*", "--skip-grant-tables", "--skip-networking=0", "--tmpdir="+data, "--innodb-use-native-aio=0", "--pid-file="+data+"/pid")
		},
		"slapd": func() {
			lab.write(t, "slapd.conf", "pidfile "+d+"/slapd.pid\n")
			lab.serve(t, "127.0.0.1:389", "slapd", "-d", "0", "-f", d+"/slapd.conf", "-h", "ldap:///")
		},
		"mosquitto": func() {
			lab.write(t, "mosquitto.conf", "allow_anonymous true\nlistener 1883\nuser root\n")
			lab.serve(t, "127.0.0.1:1883", "mosquitto", "-c", d+"/mosquitto.conf")
		},
		"smbd": func() {
			lab.write(t, "smb.conf", fmt.Sprintf("[global]\nmap to guest = bad user\nlog file = %[1]s/smb.log\nprivate dir = %[1]s\nlock directory = %[1]s\nstate directory = %[1]s\ncache directory = %[1]s\npid directory = %[1]s\nncalrpc dir = %[1]s\nsmb ports = 445\n", d))
			lab.serve(t, "127.0.0.1:445", "unshare", "--pid", "--fork", "--kill-child", toolPath("smbd"), "--foreground", "--no-process-group", "-s", d+"/smb.conf")
		},
		"caddy": func() {
			lab.write(t, "Caddyfile", fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tstorage file_system %[1]s\n}\nhttps://:8443 {\n\tbind %[2]s\n\ttls %[1]s/cert.pem %[1]s/key.pem\n\theader Content-Type text/html\n\trespond \"<p>hello</p>\"\n}\n", d, strings.Join(lab.quicAddresses(), " ")))
			lab.serve(t, net.JoinHostPort(lab.quicAddresses()[0], "8443"), "caddy", "run", "--adapter", "caddyfile", "--config", d+"/Caddyfile")
		},
	} {
		if needed[tool] && toolPath(tool) != "" {
			start()
		}
	}
	if toolPath("java") != "" {
		lab.write(t, "Fetch.java", `public class Fetch { public static void main(String[] a) throws Exception { try (var in = new java.net.URL(a[0]).openStream()) { in.transferTo(System.out); } } }`)
	}
}

// quicAddresses returns those of the server of clients of QUIC: it answers from the address that it
// is bound to.
func (lab *programLab) quicAddresses() (all []string) {
	for i := range clientPrograms {
		if c := &clientPrograms[i]; strings.Contains(c.want, ":8443") {
			all = append(all, c.addr4(), c.addr6())
		}
	}
	return all
}

// dataFor returns a directory that belongs to a user.
func (lab *programLab) dataFor(t *testing.T, user string) string {
	t.Helper()
	data := filepath.Join(lab.dir, user)
	must(t, os.Mkdir(data, 0o700))
	lab.Server.Run("chown", user+":", data)
	return data
}

func (lab *programLab) makeRepository(t *testing.T) {
	t.Helper()
	const script = `cd "$0" && git init -q work && cd work && git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m first &&
		cd .. && git clone -q --bare work repository.git && cd repository.git && git update-server-info`
	lab.Server.Run("sh", "-c", script, lab.dir)
}

// serveSSH starts sshd with keys of its own.
func (lab *programLab) serveSSH(t *testing.T) {
	t.Helper()
	for _, name := range []string{"host", "user"} {
		lab.Server.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(lab.dir, name))
	}
	lab.write(t, "sshd.conf", fmt.Sprintf("HostKey %[1]s/host\nAuthorizedKeysFile %[1]s/user.pub\nPidFile none\nStrictModes no\nUsePAM no\nUseDNS no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n", lab.dir))
	tuntest.WriteProgram(t, filepath.Join(lab.dir, "ssh.sh"), []byte("#!/bin/sh\nexec "+lab.ssh()+` "$@"`+"\n"))
	must(t, os.MkdirAll("/run/sshd", 0o755))
	lab.serve(t, "127.0.0.1:22", "sshd", "-D", "-e", "-f", filepath.Join(lab.dir, "sshd.conf"))
}

func (lab *programLab) ssh() string {
	return "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i " + lab.dir + "/user"
}

// buildFetch builds a program in Go that fetches URLs.
func (lab *programLab) buildFetch(t *testing.T) {
	t.Helper()
	lab.write(t, "fetch.go", `package main

import ("crypto/tls"; "log"; "net/http"; "os")

func main() {
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	for _, url := range os.Args[1:] {
		if _, err := http.Get(url); err != nil { log.Fatal(err) }
	}
}
`)
	build := exec.Command(toolPath("go"), "build", "-o", filepath.Join(lab.dir, "fetch"), filepath.Join(lab.dir, "fetch.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
}

// quietChromium has it ask no server of its maker, as it does now and then.
const quietChromium = "--disable-background-networking --disable-component-update " +
	"--disable-features=OptimizationHints,OptimizationGuideModelDownloading"

// environment returns the variables of a program's script.
func (lab *programLab) environment(p *clientProgram) []string {
	return []string{
		"NAME=" + p.host(), "A4=" + p.addr4(), "A6=" + p.addr6(), "DIR=" + lab.dir, "HOME=" + lab.dir, "SSH=" + lab.ssh(),
		"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "TERM=dumb",
		"CHROMIUM=--headless --no-sandbox --disable-gpu --disable-dev-shm-usage " + quietChromium +
			" --ignore-certificate-errors-spki-list=" + lab.spki,
	}
}

// haveAll makes all of 203.0.113.0/24 and 2001:db8:3::/64 addresses of a machine.
func haveAll(ns *tuntest.Namespace) {
	ns.Run("ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
	ns.Run("ip", "-6", "route", "add", "local", "2001:db8:3::/64", "dev", "lo")
	ns.Sysctl("net.ipv6.ip_nonlocal_bind", "1")
}
