package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"syntap/cmd/internal/record"
)

const configs = "../../../configs/"

// TestConfigsNameMetrics compares the metrics that the dashboard and the alerts ask for with those
// there are.
func TestConfigsNameMetrics(t *testing.T) {
	t.Parallel()
	descs := make(chan *prometheus.Desc, 100)
	newCollector(NewFigures("", "", record.Run{}, 0)).Describe(descs)
	close(descs)
	known := make(map[string]bool)
	for desc := range descs {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(desc.String())[1]
		known[name] = true
		if strings.HasSuffix(name, "_seconds") {
			known[name+"_bucket"] = true
		}
	}
	asked := make(map[string]bool)
	for _, file := range []string{"grafana/syntap.json", "prometheus/alerts.yaml"} {
		text, err := os.ReadFile(configs + file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
		for _, name := range regexp.MustCompile(`\bsyntap_[a-z_]+`).FindAllString(string(text), -1) {
			asked[name] = true
			if !known[name] {
				t.Errorf("%s asks for %s, which is no metric", file, name)
			}
		}
	}
	for name := range known {
		if base := strings.TrimSuffix(name, "_bucket"); !asked[base] && !asked[base+"_bucket"] &&
			name != "syntap_start_time_seconds" && name != "syntap_start_time_seconds_bucket" {
			t.Errorf("neither the dashboard nor an alert shows %s", name)
		}
	}
}

// TestAlertOfLimits: the alert of full tables names the drops of each limit of the config.
func TestAlertOfLimits(t *testing.T) {
	t.Parallel()
	alerts, err := os.ReadFile(configs + "prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile(configs + "reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, full, _ := strings.Cut(string(alerts), "alert: SyntapFull")
	full, _, _ = strings.Cut(full, "for:")
	_, limits, _ := strings.Cut(string(reference), "\nlimits:\n")
	limits, _, _ = strings.Cut(limits, "\n\n")
	keys := regexp.MustCompile(`(?m)^  (\w+):`).FindAllStringSubmatch(limits, -1)
	for _, key := range keys {
		if !regexp.MustCompile(`\b` + key[1] + `\b`).MatchString(full) {
			t.Errorf("SyntapFull lacks %s: %s", key[1], full)
		}
	}
	if len(keys) < 7 {
		t.Errorf("limits %q, want more", keys)
	}
}

// TestQueries has Prometheus read what the dashboard asks for, and try the alerts on series of
// their own.
func TestQueries(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool")
	}
	cmd := exec.Command(promtool, "test", "rules", "alerts_test.yaml")
	cmd.Dir = configs + "prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}

	// A rule file of the dashboard's queries, with values for Grafana's variables.
	text, err := os.ReadFile(configs + "grafana/syntap.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$instance", ".+").Replace(target.Expr)
			rules = append(rules, rule{"dashboard:query", expr})
		}
	}
	if len(rules) < 10 {
		t.Fatalf("the dashboard has %d queries", len(rules))
	}
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(promtool, "check", "rules", "--lint=none", "/dev/stdin") // JSON is YAML
	cmd.Stdin = strings.NewReader(string(file))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
