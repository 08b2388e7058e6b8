package jetstream

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/tun/tuntest"
)

const configs = "../../../../configs/fleet/"

// cluster is three servers of NATS, with the config and the stream of configs/fleet.
type cluster struct {
	url       string
	authority *fleettest.Authority
	nodes     []*fleettest.Server
	dirs      []string // of their data
}

// newCluster starts the servers and makes the stream.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	program := fleettest.Program(t, fleettest.NATSModule)
	text, err := os.ReadFile(configs + "nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &cluster{authority: fleettest.NewAuthority(t, dir, "ca")}
	addresses := make(map[string]string)
	var hosts, replace []string
	for i := range 3 {
		name, address := fmt.Sprintf("logs%d", i+1), fleettest.Address().String()
		addresses[name] = address
		hosts = append(hosts, address+":4222")
		replace = append(replace, name+".example.com", address)
	}
	c.url = "tls://" + strings.Join(hosts, ",")
	for name, address := range addresses {
		cert, key := c.authority.Issue(name, address)
		config := strings.NewReplacer("server_name: logs1", "server_name: "+name, "listen: logs1", "listen: "+name,
			"/var/lib/nats", filepath.Join(dir, name), "/etc/syntap/fleet/node.pem", cert, "/etc/syntap/fleet/node.key", key,
			"/etc/syntap/fleet/ca.pem", c.authority.File).
			Replace(string(text))
		file := filepath.Join(dir, name+".conf")
		if err := os.WriteFile(file, []byte(strings.NewReplacer(replace...).Replace(config)), 0o600); err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, fleettest.Start(t, program, "-c", file))
		c.dirs = append(c.dirs, filepath.Join(dir, name))
	}
	c.makeStream(t)
	return c
}

// makeStream makes the stream as the operator, once the nodes have agreed on a leader.
func (c *cluster) makeStream(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(configs + "stream.json")
	if err != nil {
		t.Fatal(err)
	}
	var config jetstream.StreamConfig
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	config.MaxBytes = 1 << 30 // the disk of a test is smaller
	cert, key := c.authority.Issue("operator")
	wait(t, "the stream", func() bool {
		conn, err := nats.Connect(c.url, nats.RootCAs(c.authority.File), nats.ClientCert(cert, key))
		if err != nil {
			return false
		}
		defer conn.Close()
		js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(5*time.Second))
		if err != nil {
			return false
		}
		_, err = js.CreateOrUpdateStream(t.Context(), config)
		return err == nil
	})
}

// wait waits for a condition as tuntest.Wait does, but longer: each election of a leader takes the
// nodes ten seconds where the machine is busy.
func wait(t *testing.T, condition string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(4 * tuntest.Patience); !cond(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", condition)
		}
	}
}

// client returns a client with the certificate of a name.
func (c *cluster) client(t *testing.T, name string) *Client {
	t.Helper()
	cert, key := c.authority.Issue(name)
	client, err := New(
		otlp.Options{
			URL:     c.url,
			CA:      c.authority.File,
			Cert:    cert,
			Key:     key,
			Timeout: tuntest.Patience,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
