package victorialogs

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syntap/cmd/internal/fleet/fleettest"
	"syntap/tun/tuntest"
)

// TestUnits has systemd check the units of configs/fleet, and the store start with the flags that
// its unit and the compose file have.
func TestUnits(t *testing.T) {
	t.Parallel()
	store := readConfig(t, "victoria-logs.service")
	for name, text := range map[string]string{
		"victoria-logs.service": store, "vmauth.service": readConfig(t, "vmauth.service"),
	} {
		if _, err := exec.LookPath("systemd-analyze"); err != nil {
			t.Log("systemd-analyze is not installed")
			break
		}
		file := filepath.Join(t.TempDir(), name)
		text = regexp.MustCompile(`ExecStart=\S+`).ReplaceAllString(text, "ExecStart=/bin/true")
		text = strings.Replace(text, "EnvironmentFile=/", "EnvironmentFile=-/", 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
		if err != nil || strings.Contains(string(out), name) {
			t.Errorf("systemd-analyze verify %s: %v\n%s", name, err, out)
		}
	}
	compose := readConfig(t, "compose.yaml")
	address := fleettest.Address().String() + ":9428"
	var flags []string
	for _, flag := range regexp.MustCompile(`\s(-[\w.]+=\S+)`).FindAllStringSubmatch(store, -1) {
		name, _, _ := strings.Cut(flag[1], "=")
		switch name {
		case "-storageDataPath":
			flags = append(flags, name+"="+t.TempDir())
		case "-httpListenAddr":
			flags = append(flags, name+"="+address)
		default:
			flags = append(flags, flag[1])
			if !strings.Contains(compose, flag[1]) {
				t.Errorf("compose.yaml lacks %s", flag[1])
			}
		}
	}
	if len(flags) < 4 {
		t.Errorf("the unit has the flags %q", flags)
	}
	fleettest.Start(t, fleettest.Program(t, fleettest.VictoriaLogsModule), flags...)
	tuntest.Wait(t, "the store", func() bool {
		answer, err := http.Get("http://" + address + "/health")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

func readConfig(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(configs + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
