package owner

import (
	"strings"
	"testing"
)

func TestParseCgroup(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0123456789abcdef", 4)
	other := strings.Repeat("f", 64)
	for _, tt := range []struct {
		name, text string
		want       place
	}{
		{"nothing", "", place{}},
		{"root", "0::/\n", place{}},
		{"service", "0::/system.slice/ssh.service\n", place{unit: "ssh.service"}},
		{
			"template in a slice of its own",
			"0::/system.slice/system-getty.slice/getty@tty1.service\n",
			place{unit: "getty@tty1.service"},
		},
		{
			"cgroup that a service has made",
			"0::/system.slice/a.service/b.service\n",
			place{unit: "a.service"},
		},
		{"process 1", "0::/init.scope\n", place{unit: "init.scope"}},
		{"session", "0::/user.slice/user-1000.slice/session-3.scope\n", place{unit: "session-3.scope"}},
		{
			"user's manager",
			"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n",
			place{unit: "user@1000.service"},
		},
		{
			"user's unit",
			"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/firefox.service\n",
			place{unit: "firefox.service"},
		},
		{
			"user's slice",
			"0::/user.slice/user-1000.slice/user@1000.service/app.slice\n",
			place{unit: "user@1000.service"},
		},
		{"escaped", "0::/system.slice/_cgroup.service\n", place{unit: "cgroup.service"}},
		{"slice only", "0::/user.slice\n", place{}},
		{"no unit", "0::/foo/ssh.service\n", place{}},
		{"only a suffix", "0::/system.slice/.service\n", place{}},
		{"outside of our namespace", "0::/../../system.slice/ssh.service\n", place{unit: "ssh.service"}},
		{"a colon", "0::/system.slice/a:b.service\n", place{unit: "a:b.service"}},
		{
			"version 1",
			"3:cpu,cpuacct:/\n2:pids:/system.slice/other.service\n1:name=systemd:/system.slice/cron.service\n",
			place{unit: "cron.service"},
		},
		{
			"both, by systemd",
			"1:name=systemd:/system.slice/cron.service\n0::/system.slice/cron.service\n",
			place{unit: "cron.service"},
		},
		{
			"both, version 2 only",
			"1:name=systemd:/\n0::/system.slice/cron.service\n",
			place{unit: "cron.service"},
		},
		{"broken", "0\n::\n1:name=systemd\n\n", place{}},

		{
			"docker, systemd",
			"0::/system.slice/docker-" + id + ".scope\n",
			place{"docker-" + id + ".scope", id},
		},
		{
			"docker, cgroupfs",
			"12:pids:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n",
			place{container: id},
		},
		{"docker, no systemd", "4:memory:/docker/" + id + "\n0::/\n", place{container: id}},
		{"docker in docker", "0::/docker/" + id + "/docker/" + other + "\n", place{container: id}},
		{
			"podman",
			"0::/machine.slice/libpod-" + id + ".scope/container\n",
			place{"libpod-" + id + ".scope", id},
		},
		{
			"podman of a user",
			"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope/container\n",
			place{"libpod-" + id + ".scope", id},
		},
		{"podman, cgroupfs", "0::/libpod_parent/libpod-" + id + "\n", place{container: id}},
		{
			"podman's monitor",
			"0::/machine.slice/libpod-conmon-" + id + ".scope\n",
			place{unit: "libpod-conmon-" + id + ".scope"},
		},
		{
			"containerd in Kubernetes",
			"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f9c.slice/cri-containerd-" + id + ".scope\n",
			place{"cri-containerd-" + id + ".scope", id},
		},
		{"Kubernetes, cgroupfs", "0::/kubepods/besteffort/pod3f9c/" + id + "\n", place{container: id}},
		{
			"CRI-O",
			"0::/kubepods.slice/kubepods-pod3f9c.slice/crio-" + id + ".scope/container\n",
			place{"crio-" + id + ".scope", id},
		},
		{
			"runc's form",
			"0::/system.slice/containerd.service/kubepods-besteffort.slice:cri-containerd:" + id + "\n",
			place{"containerd.service", id},
		},
		{"upper case", "0::/docker/" + strings.ToUpper(id) + "\n", place{}},
		{"too short", "0::/docker/" + id[1:] + "\n", place{}},
		{"a word before", "0::/x" + id + "\n", place{}},
		{"LXC", "0::/lxc.payload.web/system.slice/nginx.service\n", place{container: "web"}},
		{"LXC, version 1", "1:name=systemd:/lxc/web/init.scope\n", place{container: "web"}},
		{"LXC's monitor", "0::/lxc.monitor.web\n", place{}},
		{
			"nspawn",
			"0::/machine.slice/machine-my\\x2dweb.scope/payload/system.slice/nginx.service\n",
			place{"machine-my\\x2dweb.scope", "my-web"},
		},
		{
			"nspawn as a service",
			"0::/machine.slice/systemd-nspawn@web.service/payload\n",
			place{"systemd-nspawn@web.service", "web"},
		},
		{
			"virtual machine",
			"0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator\n",
			place{unit: "machine-qemu\\x2d1\\x2dvm.scope"},
		},
	} {
		if got := parseCgroup([]byte(tt.text)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("0::/machine.slice/machine-my\\x2dweb.scope/payload\n1:name=systemd:/lxc/a"))
	f.Fuzz(func(t *testing.T, text []byte) { parseCgroup(text) })
}
