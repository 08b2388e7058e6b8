package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

const checkout = "../../.."

// makeTarget runs make in the checkout. Its targets share bin/syntap, so that tests that call it
// are not parallel.
func makeTarget(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("make", append([]string{"-C", checkout}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestInstall looks for the files of "make install" where Debian's programs look for them, and uses
// them.
func TestInstall(t *testing.T) {
	requireTools(t, "bash", "make", "man")
	root := t.TempDir()
	makeTarget(t, "install", "DESTDIR="+root, "PREFIX=/usr")
	files := map[string]fs.FileMode{
		"usr/bin/syntap":                                  0o755,
		"usr/lib/systemd/system/syntap.service":           0o644,
		"usr/lib/sysusers.d/syntap.conf":                  0o644,
		"usr/lib/tmpfiles.d/syntap.conf":                  0o644,
		"usr/share/man/man1/syntap.1":                     0o644,
		"usr/share/man/man1/syntap-run.1":                 0o644,
		"usr/share/man/man5/syntap-config.5":              0o644,
		"usr/share/man/man5/syntap-records.5":             0o644,
		"usr/share/bash-completion/completions/syntap":    0o644,
		"usr/share/zsh/vendor-completions/_syntap":        0o644,
		"usr/share/fish/vendor_completions.d/syntap.fish": 0o644,
		"usr/share/doc/syntap/README.md":                  0o644,
		"etc/syntap/config.yaml":                          0o644,
	}
	for _, example := range examples(t) {
		files["usr/share/doc/syntap/configs/"+example] = 0o644
	}
	for path, mode := range files {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want a file with mode %v", path, info, err, mode)
		}
	}
	checkLinks(t, filepath.Join(root, "usr/share/doc/syntap"))

	// Each is understood by the program that it is for.
	config := filepath.Join(root, "etc/syntap/config.yaml")
	for _, command := range [][]string{
		{filepath.Join(root, "usr/bin/syntap"), "check", "-c", config},
		{"man", "-P", "cat", filepath.Join(root, "usr/share/man/man1/syntap-run.1")},
		{"man", "-P", "cat", filepath.Join(root, "usr/share/man/man5/syntap-config.5")},
		{"bash", "-n", filepath.Join(root, "usr/share/bash-completion/completions/syntap")},
		{"zsh", "-n", filepath.Join(root, "usr/share/zsh/vendor-completions/_syntap")},
		{"fish", "-n", filepath.Join(root, "usr/share/fish/vendor_completions.d/syntap.fish")},
	} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Logf("%s is not installed", command[0])
			continue
		}
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, out)
		}
	}

	// A config of the operator's survives the next version.
	if err := os.WriteFile(config, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	makeTarget(t, "install", "DESTDIR="+root, "PREFIX=/usr")
	if got, err := os.ReadFile(config); err != nil || string(got) != "# mine\n" {
		t.Errorf("config after the second install: %q, %v", got, err)
	}
}

// markdownLink is one to a file.
var markdownLink = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// checkLinks looks for the files that documents of a directory link to.
func checkLinks(t *testing.T, dir string) {
	t.Helper()
	links := 0
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range markdownLink.FindAllSubmatch(text, -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(found[1]))); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return err
	})
	if err != nil || links == 0 {
		t.Errorf("%d links in %s, %v", links, dir, err)
	}
}

// examples lists the checkout's configs to use and to change, by path.
func examples(t *testing.T) (paths []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(checkout+"/configs"), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "package":
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) == ".go":
			return nil
		}
		paths = append(paths, path)
		return nil
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("examples %q, %v", paths, err)
	}
	return paths
}

// TestInstalledUnit has systemd check the unit of an installation somewhere else, which names the
// programs there.
func TestInstalledUnit(t *testing.T) {
	requireTools(t, "make")
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	root := t.TempDir()
	makeTarget(t, "install", "PREFIX="+root, "SYSCONFDIR="+filepath.Join(root, "etc"))
	unit := filepath.Join(root, "lib/systemd/system/syntap.service")
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// inOverlay runs a script as root of a copy of this machine that is forgotten at its end: PACKAGE
// installed, a run of it killed, the package removed and purged. Any rest of it is an error.
const inOverlay = `
set -eux
mount -t tmpfs none "$DIR"
mkdir "$DIR/upper" "$DIR/work" "$DIR/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$DIR/upper,workdir=$DIR/work" "$DIR/root"
cp "$PACKAGE" "$DIR/root/root/syntap.deb"
mount --rbind /dev "$DIR/root/dev"
mount -t proc proc "$DIR/root/proc"
mount -t tmpfs none "$DIR/root/run"
ip link set lo up
chroot "$DIR/root" sh -eux <<'EOF'
network() { ip rule; ip -6 rule; ip address; ip route show table all; ip -6 route show table all; }
network >/root/before
dpkg -i /root/syntap.deb
mkdir -p /var/log/syntap /run/syntap
syntap run -c /etc/syntap/config.yaml &
timeout 60 sh -c 'until ip rule | grep -q 5360:; do :; done'
kill -9 $!
wait $! || true
ip rule | grep -q 5360:
dpkg -r syntap
network | diff /root/before -
test -e /etc/syntap/config.yaml
dpkg -P syntap
rm /root/before /root/syntap.deb
EOF
left=$(find "$DIR/upper" -type f -name '*syntap*' -o -type d -name '*syntap*')
test -z "$left"
`

// TestPackage installs the Debian package, and removes it while the remains of a run still close
// the host.
func TestPackage(t *testing.T) {
	if !soak() {
		t.Skip("takes minutes, and packages from the internet")
	}
	requireTools(t, "dpkg", "ip", "make", "unshare")
	tuntest.RequireNetNS(t)
	makeTarget(t, "deb", "VERSION=0.0.1")
	packages, err := filepath.Glob(filepath.Join(checkout, "bin/syntap_0.0.1_*.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("packages: %v, %v, want one", packages, err)
	}
	defer os.Remove(packages[0])
	if out, err := exec.Command("lintian", "--fail-on=error,warning", packages[0]).CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", inOverlay)
	cmd.Env = append(os.Environ(), "DIR="+t.TempDir(), "PACKAGE="+packages[0], "RUNTIME_DIRECTORY=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("install, run, kill, remove, purge: %v\n%s", err, out)
	}
}
