package config

import (
	"net/netip"
	"reflect"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/route"
)

// Config is a whole config, resolved: every key has its value, be it from the file or the default.
// The yaml tags are the keys' names.
type Config struct {
	TUN    TUN       `yaml:"tun"`
	Route  Route     `yaml:"route"`
	Egress Egress    `yaml:"egress"`
	Tap    Tap       `yaml:"tap"`
	MSS    []MSSRule `yaml:"mss"` // in order, the first match wins
	DF     []DFRule  `yaml:"df"`  // in order, the first match wins
	Limits Limits    `yaml:"limits"`
	Fleet  Fleet     `yaml:"fleet"`
	HTTP   HTTP      `yaml:"http"`
	Log    Log       `yaml:"log"`

	// Outdated says for people which keys of the file have other names now. They still work.
	Outdated []string `yaml:"-"`
}

// TUN describes the interface.
type TUN struct {
	Name      string         `yaml:"name"`
	MTU       int            `yaml:"mtu"`
	Queues    Queues         `yaml:"queues"`
	Addresses []netip.Prefix `yaml:"addresses"` // the interface's own, with the length of their subnet
	Sources   AddressSet     `yaml:"sources"`   // who may send into the TUN; knows the word Host
}

// Route says which traffic of the host enters the TUN.
type Route struct {
	Include     []netip.Prefix   `yaml:"include"` // none: the operator routes
	Exclude     []netip.Prefix   `yaml:"exclude"`
	IncludeUIDs []route.UIDRange `yaml:"include_uids"` // none: every user
	ExcludeUIDs []route.UIDRange `yaml:"exclude_uids"`
	KeepInbound bool             `yaml:"keep_inbound"`
	OnCrash     OnCrash          `yaml:"on_crash"`
	Enforce     route.Enforce    `yaml:"enforce"` // by default reject where OnCrash is Closed, count where it is Open
	Mark        Mark             `yaml:"mark"`
	Table       int              `yaml:"table"`
	Priority    int              `yaml:"priority"`
}

// OnCrash says where the routed traffic goes while the process is dead.
type OnCrash string

// The values of [OnCrash].
const (
	Closed OnCrash = "closed" // nothing leaves unlogged
	Open   OnCrash = "open"   // the host's own routes apply
)

// Egress describes the sockets that carry the traffic on.
type Egress struct {
	Interface         string        `yaml:"interface"` // "": the host's routes decide
	DialTimeout       time.Duration `yaml:"dial_timeout"`
	UserTimeout       time.Duration `yaml:"user_timeout"`   // whole milliseconds; 0: the kernel's retransmissions decide
	KeepaliveIdle     time.Duration `yaml:"keepalive_idle"` // whole seconds, like the next
	KeepaliveInterval time.Duration `yaml:"keepalive_interval"`
	KeepaliveProbes   int           `yaml:"keepalive_probes"`
	UDPTimeout        time.Duration `yaml:"udp_timeout"`  // of a client's idle endpoint
	ICMPTimeout       time.Duration `yaml:"icmp_timeout"` // of an idle identifier of echoes
	BusyPoll          time.Duration `yaml:"busy_poll"`    // for how long after traffic to look for more before waiting; 0: never
	Deny              AddressSet    `yaml:"deny"`         // knows Loopback, LinkLocal, Host and Multicast
	Allow             AddressSet    `yaml:"allow"`        // exceptions to Deny, the same words

	Rules   []EgressRule `yaml:"rules"`   // in order, the first match wins
	Default Verdict      `yaml:"default"` // where none matches
	Names   NameSource   `yaml:"names"`
	Strict  bool         `yaml:"strict"` // reset connections whose SNI or Host contradicts their name
}

// Words of an [AddressSet].
const (
	Host      = "host" // the addresses of this host
	Loopback  = "loopback"
	LinkLocal = "link-local"
	// LinkLocalForwarded is LinkLocal for other machines, and for the command of exec, but not for
	// programs of this host.
	LinkLocalForwarded = "link-local-forwarded"
	Multicast          = "multicast"
)

// Tap describes the handshake log.
type Tap struct {
	Timeout  time.Duration `yaml:"timeout"`
	Findings Findings      `yaml:"findings"`
	Log      []Sink        `yaml:"log"`
}

// Findings is the use that is made of the faults of the network that the router finds by itself.
type Findings string

// The values of [Findings].
const (
	FindingsOff Findings = "off"    // none are looked for
	Report      Findings = "report" // they are recorded
	Apply       Findings = "apply"  // and cured
)

// Sink is one output of the handshake log.
type Sink struct {
	Format    Format            `yaml:"format"`
	Path      string            `yaml:"path"`                // "-": standard output
	Order     Order             `yaml:"order,omitempty"`     // classic and modern only
	Timestamp tcpdump.Timestamp `yaml:"timestamp,omitempty"` // classic and modern only
	Relative  bool              `yaml:"relative,omitempty"`  // classic and modern only
	MaxSize   Size              `yaml:"max_size,omitempty"`  // 0: no limit
	MaxAge    time.Duration     `yaml:"max_age,omitempty"`   // 0: no limit
	MaxFiles  int               `yaml:"max_files,omitempty"` // 0: no limit
	Compress  bool              `yaml:"compress,omitempty"`
	OnFull    OnFull            `yaml:"on_full"`
	Chain     bool              `yaml:"chain,omitempty"`     // json only
	ChainKey  string            `yaml:"chain_key,omitempty"` // with Chain: file of the key; "" = none
	Sync      bool              `yaml:"sync,omitempty"`

	ChainAnchor []string `yaml:"chain_anchor,omitempty"` // with Chain: Journald, FleetAnchor, and paths of files
}

// Journald is the anchor in systemd's journal.
const Journald = "journald"

// Equal reports whether two sinks are configured alike.
func (s Sink) Equal(o Sink) bool { return reflect.DeepEqual(s, o) }

// Format is the form of a sink's records.
type Format string

// The values of [Format].
const (
	Classic Format = "classic" // text as of tcpdump 3.7.2
	Modern  Format = "modern"  // text as of tcpdump 4.99
	JSON    Format = "json"
	OCSF    Format = "ocsf" // Network Activity of the Open Cybersecurity Schema Framework
	Zeek    Format = "zeek" // conn.log as JSON
	ECS     Format = "ecs"  // documents of the Elastic Common Schema
	PCAPNG  Format = "pcapng"
)

// IsText tells whether the form has lines as tcpdump prints them.
func (f Format) IsText() bool { return f == Classic || f == Modern }

// HasFlows tells whether the form has records of datagrams and of ends, and of owners and names.
func (f Format) HasFlows() bool { return f == JSON || f == OCSF || f == Zeek || f == ECS }

// Order is the order of a text sink's lines.
type Order string

// The values of [Order].
const (
	ByHandshake Order = "handshake" // the lines of one attempt together, when its verdict falls
	ByPacket    Order = "packet"    // each line as its segment passes
)

// OnFull is the policy for when a sink cannot take more records.
type OnFull string

// The values of [OnFull].
const (
	Suspend OnFull = "suspend" // new connections wait, then are refused
	Count   OnFull = "count"   // records are dropped, counted, and the gap is announced
	Stop    OnFull = "stop"    // the program ends
)

// Limits caps the state that packets can make the program hold.
type Limits struct {
	TCPFlows          int `yaml:"tcp_flows"`
	TCPFlowsPerSource int `yaml:"tcp_flows_per_source"` // of forwarded clients only
	UDPFlows          int `yaml:"udp_flows"`
	UDPFlowsPerSource int `yaml:"udp_flows_per_source"` // of forwarded clients only
	HalfOpen          int `yaml:"half_open"`
	HalfOpenPerSource int `yaml:"half_open_per_source"`

	Memory Size `yaml:"memory"` // that all connections together hold, in bytes
}

// HTTP describes the live page, the API and the metrics.
type HTTP struct {
	Listen string `yaml:"listen"` // "", address:port or unix:/path
}

// Log describes the program's own log, on standard error.
type Log struct {
	Level  string `yaml:"level"`  // a name that logrus knows: error, warn, info or debug
	Format string `yaml:"format"` // text or json
}
