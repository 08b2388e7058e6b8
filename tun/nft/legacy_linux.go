package nft

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"unsafe"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// legacy reads the tables of ip_tables or ip6_tables, which iptables-legacy fills. Their rules are
// translated to those of nftables, as iptables-nft would make them.
type legacy struct {
	family        nftables.TableFamily
	domain, level int    // of a socket whose options are the tables
	names         string // file with the names of the tables
	module        string // of a table, before its name

	// Offsets in struct ipt_entry or ip6t_entry (linux/netfilter_ipv4/ip_tables.h).
	address int // bytes of an address: source, destination and their masks are the first fields
	flags   int // inverted conditions are in the byte behind them
	offsets int // of the target, and of the next entry
	matches int
	isGoto  byte // among the flags
	header  uint32
}

var legacies = []legacy{
	{
		nftables.TableFamilyIPv4, unix.AF_INET, unix.SOL_IP, "/proc/thread-self/net/ip_tables_names", "iptable_",
		net.IPv4len, 82, 88, 112, 1 << 1, 12,
	},
	{
		nftables.TableFamilyIPv6, unix.AF_INET6, unix.SOL_IPV6, "/proc/thread-self/net/ip6_tables_names", "ip6table_",
		net.IPv6len, 131, 140, 168, 1 << 2, 8,
	},
}

// Options of a socket (IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES), and the length of names in them.
const (
	legacyInfo    = 64
	legacyEntries = 65

	legacyName = 32
)

// Flags of an entry for conditions that are inverted (IPT_INV_VIA_IN and so on).
const (
	invertIn = 1 << iota
	invertOut
	_
	invertSource
	invertDestination
	_
	invertProtocol
)

// The lengths of struct xt_entry_match and xt_entry_target before their data, and the offsets of
// the name and the revision in them.
const (
	extensionBytes    = 32
	extensionName     = 2
	extensionRevision = 31
)

// legacyPriorities are those of the tables' chains, where the hook does not matter.
var legacyPriorities = map[string]nftables.ChainPriority{
	"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50,
}

var legacyHooks = []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// legacyTable is a table of iptables-legacy.
type legacyTable struct {
	table  *nftables.Table
	chains []*nftables.Chain
	rules  map[string][]*nftables.Rule // by chain
}

// read returns the tables that there are. To ask for another one would make it.
func (l *legacy) read() (tables []*legacyTable) {
	names := l.list()
	if len(names) == 0 {
		return nil
	}
	fd, err := unix.Socket(l.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	for _, name := range names {
		if t, err := l.table(fd, name); err == nil { // else it is changed just now
			tables = append(tables, t)
		}
	}
	return tables
}

// list returns the names of the tables. Where root alone may read them, a table whose module is
// loaded is one that is used.
func (l *legacy) list() (names []string) {
	b, err := os.ReadFile(l.names)
	if !errors.Is(err, fs.ErrPermission) {
		return strings.Fields(string(b))
	}
	for name := range legacyPriorities {
		if _, err := os.Stat("/sys/module/" + l.module + name); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// table reads a table.
func (l *legacy) table(fd int, name string) (*legacyTable, error) {
	info := struct { // struct ipt_getinfo
		name             [legacyName]byte
		hooks            uint32
		first, underflow [5]uint32
		entries, size    uint32
	}{}
	copy(info.name[:legacyName-1], name)
	if err := l.option(fd, legacyInfo, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))); err != nil {
		return nil, err
	}
	const head = legacyName + 8 // struct ipt_get_entries
	b := make([]byte, head+int(info.size))
	copy(b, info.name[:])
	copy(b[legacyName:], native(info.size))
	if err := l.option(fd, legacyEntries, b); err != nil {
		return nil, err
	}
	p := legacyParser{legacy: l, name: name, text: b[head:], hooks: make(map[int]int), policies: make(map[int]bool)}
	for hook := range legacyHooks {
		if info.hooks&(1<<hook) != 0 {
			p.hooks[int(info.first[hook])] = hook
			p.policies[int(info.underflow[hook])] = true
		}
	}
	return p.parse()
}

func (l *legacy) option(fd, option int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(l.level), uintptr(option),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return fmt.Errorf("read tables of iptables-legacy: %w", errno)
	}
	return nil
}

// legacyParser reads the entries of a table. Those of a chain follow each other: the entries of a
// hook end with its policy; before those of another chain is one that has its name.
type legacyParser struct {
	*legacy
	name     string
	text     []byte
	hooks    map[int]int  // by the offset of the first entry
	policies map[int]bool // offsets

	names map[int]string // of chains, by the offset of the first entry
}

var errLegacy = errors.New("unknown form of a table of iptables-legacy")

func (p *legacyParser) parse() (*legacyTable, error) {
	p.names = make(map[int]string)
	for at, hook := range p.hooks {
		p.names[at] = legacyHooks[hook]
	}
	if err := p.each(func(at int, e legacyEntry) {
		if name, ok := e.chainName(); ok {
			p.names[at+len(e.text)] = name
		}
	}); err != nil {
		return nil, err
	}
	table := &nftables.Table{Name: p.name, Family: p.family}
	t := &legacyTable{table: table, rules: make(map[string][]*nftables.Rule)}
	var chain *nftables.Chain
	err := p.each(func(at int, e legacyEntry) {
		if _, ok := e.chainName(); ok {
			return
		}
		if name, ok := p.names[at]; ok {
			chain = &nftables.Chain{Name: name, Table: table}
			t.chains = append(t.chains, chain)
			if hook, ok := p.hooks[at]; ok {
				p.base(chain, hook)
			}
		}
		switch {
		case chain == nil:
		case p.policies[at]:
			policy := nftables.ChainPolicyAccept
			if e.verdict() == legacyDrop {
				policy = nftables.ChainPolicyDrop
			}
			chain.Policy = &policy
		default:
			rule := &nftables.Rule{Table: table, Chain: chain, Exprs: p.exprs(at, e)}
			t.rules[chain.Name] = append(t.rules[chain.Name], rule)
		}
	})
	return t, err
}

// base makes a chain that of a hook.
func (p *legacyParser) base(chain *nftables.Chain, hook int) {
	number, priority := nftables.ChainHook(hook), legacyPriorities[p.name]
	chain.Hooknum, chain.Priority, chain.Type = &number, &priority, nftables.ChainTypeFilter
	if p.name == "nat" {
		chain.Type = nftables.ChainTypeNAT
	}
}

// legacyEntry is an entry of a table: conditions, matches, and the target at its end.
type legacyEntry struct {
	text   []byte
	target extension
}

// extension is a match or a target.
type extension struct {
	name     string
	revision uint32
	data     []byte
}

func newExtension(b []byte) extension {
	name, _, _ := bytes.Cut(b[extensionName:extensionRevision], []byte{0})
	return extension{string(name), uint32(b[extensionRevision]), b[extensionBytes:]}
}

// each calls f with all entries but the last, and their offsets.
func (p *legacyParser) each(f func(at int, e legacyEntry)) error {
	for at := 0; at < len(p.text); {
		e := p.text[at:]
		if len(e) < p.matches {
			return errLegacy
		}
		target, next := int(uint16At(e, p.offsets)), int(uint16At(e, p.offsets+2))
		if target < p.matches || next < target+extensionBytes+4 || next > len(e) {
			return errLegacy
		}
		if at += next; at < len(p.text) {
			f(at-next, legacyEntry{e[:next], newExtension(e[target:next])})
		}
	}
	return nil
}

func uint16At(b []byte, at int) uint16 { return binaryutil.NativeEndian.Uint16(b[at : at+2]) }

// chainName returns the name of the chain that begins behind an entry, if it has one.
func (e legacyEntry) chainName() (string, bool) {
	name, _, _ := bytes.Cut(e.target.data, []byte{0})
	return string(name), e.target.name == "ERROR"
}

// Verdicts of a standard target, whose name is empty. Others are offsets of entries.
const (
	legacyDrop   = -1
	legacyAccept = -2
	legacyReturn = -5
)

func (e legacyEntry) verdict() int {
	return int(int32(binaryutil.NativeEndian.Uint32(e.target.data[:4])))
}

// exprs translates the entry at an offset.
func (p *legacyParser) exprs(at int, e legacyEntry) (all []expr.Any) {
	inverted := e.text[p.flags+1]
	compare := func(data []byte, flag byte) *expr.Cmp {
		c := &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
		if inverted&flag != 0 {
			c.Op = expr.CmpOpNeq
		}
		return c
	}
	n := p.address
	for i, flag := range []byte{invertSource, invertDestination} {
		if mask := e.text[(2+i)*n : (3+i)*n]; isSet(mask) {
			load := &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: p.header + uint32(i*n), Len: uint32(n)}
			all = append(all, load, masked(mask), compare(e.text[i*n:(i+1)*n], flag))
		}
	}
	links := e.text[4*n:]
	for i, flag := range []byte{invertIn, invertOut} {
		// Behind the mask of "eth+" the name goes on.
		mask := bytes.TrimRight(links[(2+i)*unix.IFNAMSIZ:(3+i)*unix.IFNAMSIZ], "\x00")
		if name := links[i*unix.IFNAMSIZ:][:len(mask)]; len(name) > 0 {
			key := []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME}[i]
			all = append(all, meta(key), compare(name, flag))
		}
	}
	if protocol := uint16At(links, 4*unix.IFNAMSIZ); protocol != 0 {
		all = append(all, meta(expr.MetaKeyL4PROTO), compare([]byte{byte(protocol)}, invertProtocol))
	}
	for m := e.text[p.matches:uint16At(e.text, p.offsets)]; len(m) >= extensionBytes; {
		size := int(uint16At(m, 0))
		if size < extensionBytes || size > len(m) {
			break
		}
		x := newExtension(m[:size])
		all = append(all, &expr.Match{Name: x.name, Rev: x.revision, Info: p.info(x)})
		m = m[size:]
	}
	if e.target.name != "" {
		return append(all, &expr.Target{Name: e.target.name, Rev: e.target.revision, Info: p.info(e.target)})
	}
	return append(all, p.judgment(at, e)...)
}

// judgment translates a standard target: none leads to the next entry.
func (p *legacyParser) judgment(at int, e legacyEntry) []expr.Any {
	switch v := e.verdict(); {
	case v == legacyAccept:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	case v == legacyDrop:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
	case v == legacyReturn:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}
	case v < 0 || v == at+len(e.text):
		return nil
	case e.text[p.flags]&p.isGoto != 0:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: p.names[v]}}
	default:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: p.names[v]}}
	}
}

// info returns the data of an extension as the library reads that of iptables-nft.
func (p *legacyParser) info(x extension) xt.InfoAny {
	info, err := xt.Unmarshal(x.name, xt.TableFamily(p.family), x.revision, x.data)
	if err != nil {
		unknown := xt.Unknown(x.data)
		return &unknown
	}
	return info
}

func isSet(b []byte) bool { return len(bytes.Trim(b, "\x00")) > 0 }

// lists returns all chains, also those of iptables-legacy.
func (k *Kernel) lists() (all []*nftables.Chain, err error) {
	k.legacy = make(map[*nftables.Table]bool)
	k.read = make(map[*nftables.Table]map[string][]*nftables.Rule)
	for _, l := range legacies {
		for _, t := range l.read() {
			k.legacy[t.table], k.read[t.table] = true, t.rules
			all = append(all, t.chains...)
		}
	}
	chains, err := k.conn.ListChains()
	if err != nil && len(all) == 0 {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	return append(all, chains...), nil
}

// rules returns the rules of a chain; none if it is gone.
func (k *Kernel) rules(table *nftables.Table, chain string) []*nftables.Rule {
	chains := k.read[table]
	if rules, ok := chains[chain]; ok || k.legacy[table] {
		return rules
	}
	if chains == nil {
		chains = make(map[string][]*nftables.Rule)
		k.read[table] = chains
	}
	rules, err := k.conn.GetRules(table, &nftables.Chain{Name: chain, Table: table})
	if err != nil {
		rules = nil
	}
	chains[chain] = rules
	return rules
}

// mayJump reports whether a chain of a hook may jump to another one, or is it.
func (k *Kernel) mayJump(c, to *nftables.Chain) bool {
	same := to.Table.Name == c.Table.Name && to.Table.Family == c.Table.Family && k.legacy[to.Table] == k.legacy[c.Table]
	return same && (to.Hooknum == nil || to.Name == c.Name)
}

// name returns the name of a chain. Its family is empty where its packets are not IP packets.
func (k *Kernel) name(c *nftables.Chain) ChainName {
	return ChainName{families[c.Table.Family], c.Table.Name, c.Name, k.legacy[c.Table]}
}
