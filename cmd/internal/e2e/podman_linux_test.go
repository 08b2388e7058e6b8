package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// rootless has a user who is not root run a container with podman, which has one capability and
// sends by its engine's own network stack. The user, its files and the hierarchy of control groups
// that the engine wants are of this script alone.
const rootless = `
set -eu
mount -t proc proc /proc
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/upper /mnt/work /mnt/home /mnt/run /mnt/root
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
echo podder:x:4999:4999::/mnt/home:/bin/sh >>/etc/passwd
echo podder:x:4999: >>/etc/group
echo podder:200000:65536 | tee -a /etc/subuid >>/etc/subgid
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount --make-rshared /
cd /mnt/root
mkdir -p bin etc run/syntap proc sys dev tmp
cp "$SYNTAP" bin/syntap
cp "$BUSYBOX" bin/busybox
cp "$CONFIG" etc/config.yaml
printf %s "$INSIDE" >inside.sh
chown -R podder:podder /mnt/home /mnt/run /mnt/root
cd /mnt/home
exec setpriv --reuid=4999 --regid=4999 --clear-groups env -i PATH="$PATH" HOME=/mnt/home XDG_RUNTIME_DIR=/mnt/run \
	podman --cgroup-manager=cgroupfs run --rm --cgroups=disabled --network=slirp4netns \
	--cap-drop=all --cap-add=net_admin --security-opt=no-new-privileges --read-only --tmpfs=/run/syntap --device=/dev/net/tun \
	--rootfs /mnt/root /bin/busybox sh /inside.sh
`

// inside is done in the container.
const inside = `
set -eu
/bin/syntap run -c /etc/config.yaml >/run/syntap/log &
run=$!
until busybox ip rule | busybox grep -q 'fwmark .* lookup 5359'; do busybox sleep 0.1; done
echo hello | busybox nc -w 60 ADDRESS 7000
until busybox grep '"outcome":"established"' /run/syntap/log; do busybox sleep 0.1; done
/bin/syntap status --at unix:/run/syntap/http.sock
kill $run
wait $run
echo ended in order
`

// TestRootlessPodman has the config of the container examples route a container of a user who is
// not root, under the engine's own filter of system calls.
func TestRootlessPodman(t *testing.T) {
	t.Parallel()
	if !soak() {
		t.Skip("takes a container engine")
	}
	for _, name := range []string{"busybox", "crun", "newuidmap", "podman", "setpriv", "slirp4netns", "unshare"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
	tuntest.RequireNetNS(t)
	lab := tuntest.NewLab(t)
	serveEchoes(lab)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Abs(containers + "config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := command(t, lab.Router, "env", "SYNTAP="+binary, "BUSYBOX="+busybox, "CONFIG="+config,
		"INSIDE="+strings.ReplaceAll(inside, "ADDRESS", tuntest.ServerAddr4),
		"unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "sh", "-c", rootless)
	const rights = "router: user 0, no capability, no new privileges, system calls filtered"
	for _, want := range []string{"hello\n", `"dport":7000`, rights, "1 established", "ended in order"} {
		if got.status != 0 || !strings.Contains(got.stdout, want) {
			t.Fatalf("a container of a user who is not root: %+v, want %q", got, want)
		}
	}
	if _, err := os.Stat("/mnt/root/inside.sh"); err == nil {
		t.Error("a file is left on the host")
	}
}
