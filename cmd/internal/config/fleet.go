package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record/schema"
)

// Fleet describes the stores outside that get the records of a JSON log.
type Fleet struct {
	Router string        `yaml:"router"` // the name of this one in the fleet; "": the host's name
	Stores []FleetStore  `yaml:"stores"` // each gets every record
	Query  []FleetStore  `yaml:"query"`  // for those who read; none: Stores
	Log    string        `yaml:"log"`    // path of the JSON log; "": the first one of tap.log
	Fields []string      `yaml:"fields"` // members of records that leave the host, or one of the words below
	Delay  time.Duration `yaml:"delay"`  // the most that a record waits for others
	Spool  Size          `yaml:"spool"`  // rotated files kept beyond max_files while a store lacks their records
	OnFull OnFull        `yaml:"on_full"`
}

// FleetStore is a store, by its URL, and how this host is known there. The others, but Name, are
// paths of files; "" = none.
type FleetStore struct {
	Name  string `yaml:"name,omitempty"` // in metrics; "": its place, such as fleet.stores[0]
	URL   string `yaml:"url"`
	CA    string `yaml:"ca,omitempty"` // "": the system's certificates
	Token string `yaml:"token,omitempty"`
	Cert  string `yaml:"cert,omitempty"`
	Key   string `yaml:"key,omitempty"`
}

// Words of [Fleet.Fields].
const (
	allFields     = "all"
	minimalFields = "minimal"
)

// minimal are the members by which connections are found, and by which their records join.
var minimal = []string{
	"proto", "outcome", "family", "src", "sport", "dst", "dport", "handshake_seq", "datagram_seq",
}

// Keys returns the keys of the members of records that leave the host; nil = all do.
func (f *Fleet) Keys() []string {
	switch {
	case slices.Contains(f.Fields, allFields):
		return nil
	case slices.Contains(f.Fields, minimalFields):
		return slices.Concat(f.Fields, minimal)
	}
	return f.Fields
}

// FleetAnchor is the anchor in the stores of the fleet.
const FleetAnchor = "fleet"

// OTLPScheme begins the URL of a store that is any receiver of OTLP/HTTP.
const OTLPScheme = "otlp+"

// Sink returns the sink of the log that is shipped; nil = none is.
func (f *Fleet) Sink(sinks []Sink) *Sink {
	if len(f.Stores) == 0 {
		return nil
	}
	i := slices.IndexFunc(sinks, func(s Sink) bool {
		return s.Format == JSON && s.Path != "-" && (f.Log == "" || f.Log == s.Path)
	})
	if i < 0 {
		return nil
	}
	return &sinks[i]
}

// fleet reads the section fleet.
func (d *document) fleet(f *Fleet) reader {
	return d.mapping(keys{
		"router":  value(d, &f.Router, optional(parseRouter)),
		"stores":  elements(d, &f.Stores, d.fleetStore),
		"query":   elements(d, &f.Query, d.fleetStore),
		"log":     value(d, &f.Log, optional(parsePath)),
		"fields":  oneOrMore(d, &f.Fields, parseField),
		"delay":   value(d, &f.Delay, parseDuration),
		"spool":   value(d, &f.Spool, parseSize),
		"on_full": value(d, &f.OnFull, oneOf(Count, Suspend)),
	})
}

func (d *document) fleetStore(n node) FleetStore {
	var s FleetStore
	d.mapping(keys{
		"name":  value(d, &s.Name, parseStoreName),
		"url":   value(d, &s.URL, ParseStore),
		"ca":    value(d, &s.CA, parsePath),
		"token": value(d, &s.Token, parsePath),
		"cert":  value(d, &s.Cert, parsePath),
		"key":   value(d, &s.Key, parsePath),
	})(n)
	d.require(n, "url")
	return s
}

// parseRouter reads a name that stands by itself in queries, URLs and lines.
func parseRouter(s string) (string, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`).MatchString(s) {
		return "", remedy("use 1 to 63 of the characters A-Z a-z 0-9 _ . -, such as gate1.example.com",
			"%s is no name of a router", quote(s))
	}
	return s, nil
}

// parseStoreName reads the name of a store, which stands in metrics: these name no address.
func parseStoreName(s string) (string, error) {
	name, err := parseRouter(s)
	if _, no := netip.ParseAddr(s); err != nil || no == nil {
		return "", remedy("use 1 to 63 of the characters A-Z a-z 0-9 _ . -, such as logs1, and no address",
			"%s is no name of a store", quote(s))
	}
	return name, nil
}

// ParseStore reads the URL of a store.
func ParseStore(s string) (string, error) {
	scheme, servers, _ := strings.Cut(s, "://")
	if scheme != "nats" && scheme != "tls" {
		return s, checkStore(s, strings.TrimPrefix(s, OTLPScheme), "https", "http")
	}
	for server := range strings.SplitSeq(servers, ",") {
		one := scheme + "://" + server
		if err := checkStore(s, one, "tls", "nats"); err != nil {
			return "", err
		}
		if u, err := url.Parse(one); err != nil || u.Path != "" {
			return "", remedy(storeForm, "%s is more than servers", quote(s))
		}
	}
	return s, nil
}

const storeForm = "write it like https://logs1.example.com:9428, otlp+https://HOST:4318 for any receiver of OTLP, " +
	"or tls://HOST:4222,HOST:4222 for NATS JetStream"

// checkStore judges the URL of a server of a store. The scheme plain is for this host alone.
func checkStore(store, server, encrypted, plain string) error {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != encrypted && u.Scheme != plain:
		return remedy(storeForm, "%s is no URL of a store", quote(store))
	case u.User != nil:
		return remedy("put the secret into a file, and its path into token", "has a secret in it")
	case u.RawQuery != "" || u.Fragment != "":
		return remedy(storeForm, "%s is more than a server and a path", quote(store))
	case u.Scheme == plain && !loopback(u.Hostname()):
		return remedy("use "+encrypted+", or "+plain+" to a proxy on this host",
			"the records would go to %s in the clear", u.Host)
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func parseField(s string) (string, error) {
	words := append(schema.Keys(), allFields, minimalFields)
	if slices.Contains(words, s) {
		return s, nil
	}
	err := fmt.Errorf("%s is no key of a record", quote(s))
	if near := hint.Nearest(s, words); near != "" {
		return "", remedy(fmt.Sprintf("did you mean %q?", near), "%w", err)
	}
	return "", remedy("write all, minimal, or a list of keys of records such as [src, dst, dport, outcome]", "%w", err)
}

// validateFleet asks for a log that can be shipped.
func (d *document) validateFleet(f *Fleet, sinks []Sink) {
	for name, stores := range map[string][]FleetStore{"stores": f.Stores, "query": f.Query} {
		first, named := make(map[string]int), make(map[string]int)
		for i, s := range stores {
			key := fmt.Sprintf("fleet.%s[%d].", name, i)
			if (s.Cert == "") != (s.Key == "") {
				d.blame(errors.New("cert and key belong together"), strings.TrimSuffix(key, "."))
			}
			if j, again := first[s.URL]; again && s.URL != "" {
				d.blame(fmt.Errorf("is the same as fleet.%s[%d].url", name, j), key+"url")
			} else {
				first[s.URL] = i
			}
			if j, again := named[s.Name]; again && s.Name != "" {
				d.blame(fmt.Errorf("is the same as fleet.%s[%d].name", name, j), key+"name")
			} else {
				named[s.Name] = i
			}
			if name == "query" && strings.HasPrefix(s.URL, OTLPScheme) {
				d.blame(errors.New("cannot be asked: OTLP only takes records"), key+"url")
			}
		}
	}
	if i := slices.Index(f.Fields, allFields); i >= 0 && len(f.Fields) > 1 {
		d.blame(errors.New("leaves nothing to add"), fmt.Sprintf("fleet.fields[%d]", i))
	}
	switch shipped := f.Sink(sinks); {
	case len(f.Stores) == 0 || shipped != nil:
	case f.Log != "":
		d.blame(remedy("name the path of a sink of tap.log with format json", "is not the log of a sink"), "fleet.log")
	default:
		d.blame(remedy("add one, such as {format: json, path: /var/log/syntap/handshakes.json}",
			"has nothing to ship: tap.log has no json file"), "fleet.stores")
	}
	if f.Spool > 0 && f.Spool < minSpool {
		d.blame(remedy("remove the key to use 10GiB", "%s is less than %s", f.Spool, minSpool), "fleet.spool")
	}
	for i := range sinks {
		j := slices.Index(sinks[i].ChainAnchor, FleetAnchor)
		if j >= 0 && f.Sink(sinks) != &sinks[i] {
			d.blame(remedy("add the section fleet, with stores", "the log is not shipped to a fleet"),
				fmt.Sprintf("tap.log[%d].chain_anchor[%d]", i, j))
		}
	}
}

// minSpool is room for some minutes without a store.
const minSpool = MiB
