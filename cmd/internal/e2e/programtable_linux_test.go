package e2e_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// clientProgram is one whose flows have to be on record. Each has a server's name and addresses of
// its own, by which its records are told from those of others.
type clientProgram struct {
	name  string
	short bool   // runs without a soak, too
	needs string // tools; "" = name
	// owners are the programs whose sockets they are; "" = name.
	owners  string
	nobody  bool   // beside "run", it is run by that user
	literal bool   // it gets the addresses, and asks for no name
	want    string // flows: protocol and port of the server, "icmp", "dns" for a query
	script  string // for a shell, with the variables of programLab.environment
}

// clientPrograms are those of TestPrograms. Each ends with status 0.
var clientPrograms = []clientProgram{
	{name: "curl", short: true, nobody: true, want: "dns tcp:80 tcp:443", script: `curl -sS http://$NAME/ && curl -4 -sSk https://$NAME/ && curl -sSk --http1.1 https://$NAME/`},
	{name: "curl-literal", short: true, literal: true, needs: "curl", owners: "curl", want: "tcp:80", script: `curl -sS http://$A4/ && curl -sS "http://[$A6]/"`},
	{name: "curl-refused", short: true, needs: "curl", owners: "curl", want: "dns tcp:81", script: `! curl -sS http://$NAME:81/`},
	{name: "dig", short: true, nobody: true, want: "dns", script: `dig +short $NAME A && dig +short $NAME AAAA && dig +tcp +short $NAME A`},
	{name: "nslookup", short: true, want: "dns", script: `nslookup $NAME`},
	{name: "host", short: true, want: "dns", script: `host $NAME`},
	{name: "getent", short: true, nobody: true, want: "dns", script: `getent ahosts $NAME`},
	{name: "nc", short: true, nobody: true, want: "dns tcp:7000", script: `echo hello | nc -N -w 30 $NAME 7000 | grep hello`},
	{name: "nc-udp", short: true, needs: "nc", owners: "nc", want: "dns udp:7000", script: `for i in 1 2 3 4 5; do echo hello | nc -u -W 1 -w 10 $NAME 7000 | grep hello && exit; done; exit 1`},
	{name: "bash", short: true, want: "dns tcp:7000", script: `bash -c 'exec 3<>/dev/tcp/$NAME/7000 && echo hello >&3 && read -u 3 x && echo $x' | grep hello`},
	{name: "ping", short: true, want: "dns icmp", script: `ping -n -i 0.2 -c 2 $NAME`},
	{name: "ping-literal", short: true, literal: true, needs: "ping", owners: "ping", want: "icmp", script: `ping -n -i 0.2 -c 2 $A4 && ping -n -i 0.2 -c 2 $A6`},
	{name: "iperf3", short: true, want: "dns tcp:5201", script: `iperf3 -4 -c $NAME -n 2M`},
	{name: "nmap", short: true, want: "dns tcp:80 tcp:81", script: `nmap -n -sT -Pn --max-retries 10 --min-rtt-timeout 5s --initial-rtt-timeout 10s --max-rtt-timeout 10s -p 80,81 $NAME | grep '81/tcp *closed'`},
	{name: "traceroute", short: true, want: "dns udp:33434", script: `traceroute -n -q 1 -m 3 -w 2 $NAME`},
	{name: "traceroute-icmp", short: true, needs: "traceroute", owners: "traceroute", want: "dns icmp", script: `traceroute -n -q 1 -m 3 -w 2 -I $NAME`},
	{name: "iperf3-udp", needs: "iperf3", owners: "iperf3", want: "dns tcp:5201 udp:5201", script: `iperf3 -4 -c $NAME -u -b 20M -t 1`},
	{name: "mtr", owners: "mtr mtr-packet", want: "dns icmp", script: `mtr -n -r -c 2 $NAME`},
	{name: "traceroute-tcp", needs: "traceroute", owners: "traceroute", want: "dns tcp:80", script: `traceroute -n -q 1 -m 3 -w 2 -T -p 80 $NAME`},
	{name: "wget", nobody: true, want: "dns tcp:80 tcp:443", script: `wget -q -O- --no-check-certificate http://$NAME/ https://$NAME/`},
	{name: "git-http", needs: "git", owners: "git-remote-http", want: "dns tcp:80", script: `git clone -q http://$NAME/repository.git $DIR/http`},
	{name: "git-ssh", needs: "git ssh sshd", owners: "ssh", want: "dns tcp:22", script: `GIT_SSH_COMMAND="$SSH" git clone -q ssh://root@$NAME$DIR/repository.git $DIR/ssh`},
	{name: "ssh", needs: "ssh sshd", want: "dns tcp:22", script: `$SSH root@$NAME true`},
	{name: "scp", needs: "scp ssh sshd", owners: "ssh", want: "dns tcp:22", script: `scp -q -S "$DIR/ssh.sh" $DIR/greeting root@$NAME:$DIR/scp`},
	{name: "sftp", needs: "sftp ssh sshd", owners: "ssh", want: "dns tcp:22", script: `echo ls | sftp -q -S "$DIR/ssh.sh" root@$NAME`},
	{name: "rsync", needs: "rsync ssh sshd", owners: "ssh", want: "dns tcp:22", script: `rsync -e "$SSH" $DIR/greeting root@$NAME:$DIR/rsync`},
	{name: "rsync-daemon", needs: "rsync", owners: "rsync", want: "dns tcp:873", script: `rsync rsync://$NAME/`},
	{name: "mosh", needs: "mosh ssh mosh-server sshd script", owners: "ssh mosh-client perl", want: "dns tcp:22 udp:60001", script: `LC_ALL=C.UTF-8 script -qec "stty rows 24 cols 80; mosh -4 --server='env LC_ALL=C.UTF-8 mosh-server' --ssh=$DIR/ssh.sh root@$NAME -- sleep 0.5" /dev/null </dev/null`},
	{name: "psql", needs: "psql postgres", owners: "psql", want: "dns tcp:5432", script: `psql "host=$NAME user=postgres dbname=postgres sslmode=disable" -c 'select 1'`},
	{name: "redis-cli", needs: "redis-cli redis-server", want: "dns tcp:6379", script: `redis-cli -h $NAME ping`},
	{name: "mysql", needs: "mysql mariadbd", owners: "mysql mariadb", want: "dns tcp:3306", script: `mysql -h $NAME -u root -e 'select 1'`},
	{name: "drill", want: "dns", script: `drill $NAME`},
	{name: "python3", nobody: true, want: "dns tcp:80 tcp:443", script: `python3 -c 'import os,ssl,urllib.request as u; n=os.environ["NAME"]; u.urlopen("http://"+n).read(); u.urlopen("https://"+n, context=ssl._create_unverified_context()).read()'`},
	{name: "python3-asyncio", nobody: true, needs: "python3", owners: "python3", want: "dns tcp:7000 udp:7000", script: `python3 -c '
import asyncio, os, socket
n = os.environ["NAME"]
async def main():
    r, w = await asyncio.open_connection(n, 7000); w.write(b"hello\n"); print(await r.readline()); w.close()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((n, 7000)); s.settimeout(5)
    for i in range(5):
        s.send(b"hello")
        try: return print(s.recv(100))
        except TimeoutError: pass
    raise TimeoutError
asyncio.run(main())'`},
	{name: "python3-requests", nobody: true, needs: "py:requests", owners: "python3", want: "dns tcp:443", script: `python3 -W ignore -c 'import os,requests; requests.get("https://"+os.environ["NAME"], verify=False).raise_for_status()'`},
	{name: "node", nobody: true, want: "dns tcp:80", script: `node -e 'require("http").get("http://"+process.env.NAME, r => r.resume())'`},
	{name: "node-dns", needs: "node", owners: "node", want: "dns tcp:443", script: `node -e 'require("dns").resolve4(process.env.NAME, (e, a) => require("https").get({host: a[0], servername: process.env.NAME, rejectUnauthorized: false}, r => r.resume()))'`},
	{name: "go", needs: "go", owners: "fetch", nobody: true, want: "dns tcp:80 tcp:443", script: `$DIR/fetch http://$NAME https://$NAME`},
	{name: "java", needs: "java javac", want: "dns tcp:80", script: `java -Xshare:auto $DIR/Fetch.java http://$NAME`},
	{name: "chromium", owners: "chromium chrome chrome_crashpad_handler", needs: "chromium caddy", want: "dns tcp:8443", script: `chromium $CHROMIUM --disable-quic --user-data-dir=$DIR/tcp --dump-dom https://$NAME:8443/ | grep hello`},
	{name: "chromium-quic", owners: "chromium chrome", needs: "chromium caddy", want: "dns udp:8443", script: `for i in 1 2 3 4 5; do chromium $CHROMIUM --enable-quic --origin-to-force-quic-on=$NAME:8443 --user-data-dir=$DIR/quic --dump-dom https://$NAME:8443/ | grep hello && exit; done; exit 1`},
	{name: "ntpdate", needs: "ntpdate chronyd", owners: "ntpdate ntpdig python3.11", want: "dns udp:123", script: `ntpdate -q $NAME`},
	{name: "chronyd", want: "dns udp:123", script: `chronyd -u root -Q -t 60 "server $NAME iburst" "pidfile $DIR/client.pid" "cmdport 0" "bindcmdaddress /"`},
	{name: "socat", nobody: true, want: "dns tcp:7000 udp:7000", script: `echo hello | socat -t 5 - TCP:$NAME:7000 | grep hello && for i in 1 2 3 4 5; do echo hello | socat -t $i - UDP4:$NAME:7000 | grep hello && exit; done; exit 1`},
	{name: "telnet", nobody: true, owners: "telnet inetutils-telnet", want: "dns tcp:79", script: `telnet $NAME 79 </dev/null | grep Connected`},
	{name: "ftp", owners: "ftp tnftp inetutils-ftp", want: "dns tcp:21", script: `printf 'user anonymous me@example.org\nls\nquit\n' | timeout 60 ftp -n $NAME`},
	{name: "lftp", want: "dns tcp:21", script: `timeout 60 lftp -e 'set ftp:prefer-epsv yes; ls; quit' $NAME | grep greeting`},
	{name: "openssl", nobody: true, want: "dns tcp:443", script: `openssl s_client -connect $NAME:443 -servername $NAME </dev/null`},
	{name: "smbclient", needs: "smbclient smbd", want: "dns tcp:445", script: `smbclient -p 445 -s $DIR/smb.conf --option="name cache timeout=0" -N -L //$NAME`},
	{name: "ldapsearch", needs: "ldapsearch slapd", want: "dns tcp:389", script: `ldapsearch -x -H ldap://$NAME -s base -b ''`},
	{name: "snmpget", needs: "snmpget snmpd", want: "dns udp:161", script: `snmpget -r 5 -t 5 -v 2c -c public udp:$NAME .1.3.6.1.2.1.1.5.0`},
	{name: "mosquitto_pub", needs: "mosquitto_pub mosquitto", want: "dns tcp:1883", script: `mosquitto_pub -h $NAME -t greeting -m hello`},
	{name: "aria2c", want: "dns tcp:80", script: `aria2c -q -d $DIR -o aria2 http://$NAME/`},
	{name: "w3m", want: "dns tcp:80", script: `w3m -dump http://$NAME/`},
	{name: "lynx", want: "dns tcp:80", script: `lynx -dump http://$NAME/`},
	{name: "perl", needs: "perl pm:LWP::UserAgent", want: "dns tcp:80", script: `perl -MLWP::UserAgent -e 'print LWP::UserAgent->new->get("http://$ENV{NAME}/")->content' | grep hello`},
	{name: "ruby", owners: "ruby3.1 ruby", want: "dns tcp:80", script: `ruby -rnet/http -e 'print Net::HTTP.get(ENV["NAME"], "/")' | grep hello`},
	{name: "php", owners: "php8.2 php", want: "dns tcp:80", script: `php -r 'echo file_get_contents("http://".getenv("NAME")."/");' | grep hello`},
	{name: "whois", want: "dns tcp:43", script: `whois -h $NAME example.org | grep hello`},
	{name: "busybox", want: "dns tcp:80", script: `busybox wget -q -O- http://$NAME/ | grep hello`},
}

// missing returns the first tool that a program needs and that is not installed.
func (p *clientProgram) missing() string {
	needs := strings.Fields(p.needs)
	if len(needs) == 0 {
		needs = []string{p.name}
	}
	for _, tool := range needs {
		switch kind, module, _ := strings.Cut(tool, ":"); kind {
		case "py":
			if exec.Command("python3", "-c", "import "+module).Run() != nil {
				return tool
			}
		case "pm":
			if exec.Command("perl", "-M"+module, "-e1").Run() != nil {
				return tool
			}
		default:
			if toolPath(tool) == "" {
				return tool
			}
		}
	}
	return ""
}

// toolPath returns the path of a tool, which need not be on that of ordinary users; "" = not
// installed.
func toolPath(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/local/go/bin/", "/usr/lib/postgresql/*/bin/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// index returns the place of a program, from which its addresses come.
func (p *clientProgram) index() int {
	return slices.IndexFunc(clientPrograms, func(q clientProgram) bool { return q.name == p.name })
}

func (p *clientProgram) host() string  { return p.name + ".example.com" }
func (p *clientProgram) addr4() string { return fmt.Sprintf("203.0.113.%d", 100+p.index()) }
func (p *clientProgram) addr6() string { return fmt.Sprintf("2001:db8:3::%x", 100+p.index()) }

// has reports whether an address is one of the program's server.
func (p *clientProgram) has(a netip.Addr) bool {
	return a.String() == p.addr4() || a.String() == p.addr6()
}
