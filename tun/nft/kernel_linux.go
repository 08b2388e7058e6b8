package nft

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Kernel changes the tables of the network namespace in which it was opened. A table that it has
// made belongs to it, where the kernel knows that, until it is closed.
type Kernel struct {
	conn *nftables.Conn
	raw  *netlink.Conn // of conn

	made map[string][]uint64 // handles of the rules of each table as last made

	// As last listed: the tables of iptables-legacy, and the rules of chains that were read.
	legacy map[*nftables.Table]bool
	read   map[*nftables.Table]map[string][]*nftables.Rule
}

// bufferSize holds the transaction of a large table, and its acknowledgements.
const bufferSize = 8 << 20

// Open connects to the nftables of the calling thread's network namespace.
func Open() (*Kernel, error) {
	k := &Kernel{made: make(map[string][]uint64)}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		k.raw = c
		_ = c.SetWriteBuffer(bufferSize) // a smaller one carries all but the largest tables
		return c.SetReadBuffer(bufferSize)
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	k.conn = conn
	return k, nil
}

// Close ends the ownership of tables; they stay.
func (k *Kernel) Close() error { return k.conn.CloseLasting() }

// Probe reports whether the kernel takes a table, by one transaction that leaves nothing behind.
func (k *Kernel) Probe(t *Table) error {
	probe := *t
	probe.Name += "-probe"
	k.conn.AddTable(table(probe.Name))
	if err := k.fill(&probe, content{}); err != nil {
		return err
	}
	k.conn.DelTable(table(probe.Name))
	if err := k.conn.Flush(); err != nil {
		return fmt.Errorf("try nftables: %w", err)
	}
	return nil
}

func table(name string) *nftables.Table {
	return &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
}

// Exists reports whether there is a table of that name.
func (k *Kernel) Exists(name string) (bool, error) {
	tables, err := k.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("list nftables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == name }), nil
}

// Flags of a table (linux/netfilter/nf_tables.h).
const (
	tableOwner   = 0x2 // NFT_TABLE_F_OWNER: only this socket may change it
	tablePersist = 0x4 // NFT_TABLE_F_PERSIST: it outlives its owner
)

// Replace makes the table t, in place of one of the same name. Packets meet the old rules or the
// new ones. Chains and sets that both have are kept, because a packet on its way through the old
// rules looks into the sets as they are.
func (k *Kernel) Replace(t *Table) error { return patiently(func() error { return k.replace(t) }) }

// patiently repeats a change that is not permitted yet: an owner that has just died keeps its table
// until a child that it was starting has closed its descriptors.
func patiently(change func() error) error {
	const patience, pause = 2 * time.Second, 10 * time.Millisecond
	for start := time.Now(); ; time.Sleep(pause) {
		if err := change(); !errors.Is(err, os.ErrPermission) || time.Since(start) > patience {
			return err
		}
	}
}

// HasChains reports whether the kernel has a table of the name of t with all chains of t.
func (k *Kernel) HasChains(t *Table) (bool, error) {
	chains, err := k.chains(t.Name)
	if err != nil {
		return false, err
	}
	has := func(c Chain) bool { return content{chains: chains}.chain(c) != nil }
	return !slices.ContainsFunc(t.Chains, func(c Chain) bool { return !has(c) }), nil
}

func (k *Kernel) replace(t *Table) error {
	exists, err := k.Exists(t.Name)
	if err != nil {
		return err
	}
	// An empty table, which does nothing, is made ours, or the one that a dead process has left.
	// Older kernels refuse.
	owned := k.own(t.Name) == nil
	var old content
	if exists {
		if old, err = k.content(t.Name); err != nil {
			return err
		}
		k.conn.FlushTable(table(t.Name)) // removes the rules
	} else if !owned {
		k.conn.AddTable(table(t.Name))
	}
	if err := k.fill(t, old); err != nil {
		return err
	}
	k.removeOthers(t, old)
	if err := k.conn.Flush(); err != nil {
		return fmt.Errorf("set nftables table %s: %w", t.Name, err)
	}
	k.made[t.Name], err = k.handles(t.Name)
	return err
}

// own makes the calling socket the owner of a table, and the table where there is none.
func (k *Kernel) own(name string) error {
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(name), 0)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binaryutil.BigEndian.PutUint32(tableOwner | tablePersist)},
	})
	if err != nil {
		return err
	}
	const change = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE
	header := func(family byte, resource uint16) []byte { // struct nfgenmsg
		return []byte{family, unix.NFNETLINK_V0, byte(resource >> 8), byte(resource)}
	}
	_, err = k.raw.SendMessages([]netlink.Message{
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request}, Data: header(0, unix.NFNL_SUBSYS_NFTABLES)},
		{
			Header: netlink.Header{Type: change, Flags: netlink.Request | netlink.Acknowledge | netlink.Create},
			Data:   append(header(unix.NFPROTO_INET, 0), attributes...),
		},
		{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request}, Data: header(0, unix.NFNL_SUBSYS_NFTABLES)},
	})
	if err != nil {
		return err
	}
	_, err = k.raw.Receive()
	return err
}

// content is all but the rules of a table.
type content struct {
	chains []*nftables.Chain
	sets   []*nftables.Set
}

func (k *Kernel) content(name string) (c content, err error) {
	if c.chains, err = k.chains(name); err != nil {
		return c, err
	}
	if c.sets, err = k.conn.GetSets(table(name)); err != nil {
		return c, fmt.Errorf("list sets of nftables table %s: %w", name, err)
	}
	return c, nil
}

// chain returns the chain that may stay in place of c.
func (old content) chain(c Chain) *nftables.Chain {
	i := slices.IndexFunc(old.chains, func(o *nftables.Chain) bool {
		if o.Name != c.Name || (o.Hooknum == nil) != (c.Hook == nil) {
			return false
		}
		return c.Hook == nil || o.Type == nftables.ChainType(c.Hook.Type) && *o.Hooknum == *hooks[c.Hook.At] &&
			*o.Priority == nftables.ChainPriority(c.Hook.Priority)
	})
	if i < 0 {
		return nil
	}
	return old.chains[i]
}

// set returns the set that may stay in place of s.
func (old content) set(s Set) *nftables.Set {
	i := slices.IndexFunc(old.sets, func(o *nftables.Set) bool {
		return o.Name == s.Name && o.KeyType.Bytes == s.Type.data.Bytes && o.Interval == s.Interval && o.Dynamic == (s.Size > 0) &&
			o.Timeout == s.Timeout
	})
	if i < 0 {
		return nil
	}
	return old.sets[i]
}

// removeOthers queues the removal of chains and sets that t does not have.
func (k *Kernel) removeOthers(t *Table, old content) {
	for _, c := range old.chains {
		if !slices.ContainsFunc(t.Chains, func(n Chain) bool { return old.chain(n) == c }) {
			k.conn.DelChain(c)
		}
	}
	for _, s := range old.sets {
		if !slices.ContainsFunc(t.Sets, func(n Set) bool { return old.set(n) == s }) {
			k.conn.DelSet(s)
		}
	}
}

func (k *Kernel) chains(name string) ([]*nftables.Chain, error) {
	all, err := k.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list chains of nftables table %s: %w", name, err)
	}
	return slices.DeleteFunc(all, func(c *nftables.Chain) bool { return c.Table.Name != name }), nil
}

// elementsAtOnce keeps a message below the 64 KiB that an attribute holds.
const elementsAtOnce = 512

// fill queues the sets, the chains and then the rules of a table, which may jump anywhere.
func (k *Kernel) fill(t *Table, old content) error {
	to := table(t.Name)
	for i, s := range t.Sets {
		if err := k.fillSet(to, uint32(i+1), s, old.set(s)); err != nil {
			return fmt.Errorf("set %s of nftables table %s: %w", s.Name, t.Name, err)
		}
	}
	chains := make([]*nftables.Chain, len(t.Chains))
	for i, c := range t.Chains {
		chains[i] = &nftables.Chain{Table: to, Name: c.Name}
		if h := c.Hook; h != nil {
			accept := nftables.ChainPolicyAccept
			chains[i].Type, chains[i].Hooknum = nftables.ChainType(h.Type), hooks[h.At]
			chains[i].Priority, chains[i].Policy = new(nftables.ChainPriority(h.Priority)), &accept
		}
		if old.chain(c) == nil {
			k.conn.AddChain(chains[i])
		}
	}
	for i, c := range t.Chains {
		for _, r := range c.Rules {
			rule := &nftables.Rule{Table: to, Chain: chains[i]}
			for _, s := range r {
				rule.Exprs = append(rule.Exprs, s.exprs...)
			}
			k.conn.AddRule(rule)
		}
	}
	return nil
}

// fillSet queues the set s, or the change of the old set to the elements of s. No other set of the
// transaction has the same id: the library's own ids are not safe for several goroutines.
func (k *Kernel) fillSet(to *nftables.Table, id uint32, s Set, old *nftables.Set) error {
	set := &nftables.Set{
		Table: to, ID: id, Name: s.Name, KeyType: s.Type.data, KeyByteOrder: s.Type.order, Interval: s.Interval,
		Dynamic: s.Size > 0, Counter: s.Size > 0, Size: s.Size, HasTimeout: s.Timeout > 0, Timeout: s.Timeout,
		Concatenation: len(nftables.ConcatSetTypeElements(s.Type.data)) > 1,
	}
	want := elements(s)
	switch {
	case old == nil:
		if err := k.conn.AddSet(set, nil); err != nil {
			return err
		}
	case s.Size > 0:
		return nil // packets fill it
	default:
		have, err := k.conn.GetSetElements(old)
		if err != nil || sameElements(have, want) {
			return err
		}
		k.conn.FlushSet(set)
	}
	for chunk := range slices.Chunk(want, elementsAtOnce) {
		if err := k.conn.SetAddElements(set, chunk); err != nil {
			return err
		}
	}
	return nil
}

// sameElements compares elements in any order.
func sameElements(a, b []nftables.SetElement) bool {
	key := func(e nftables.SetElement) string { return fmt.Sprintf("%x %t", e.Key, e.IntervalEnd) }
	count := make(map[string]int)
	for _, e := range a {
		count[key(e)]++
	}
	for _, e := range b {
		count[key(e)]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

var hooks = map[string]*nftables.ChainHook{
	"prerouting": nftables.ChainHookPrerouting, "forward": nftables.ChainHookForward,
	"output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting,
}

// elements translates the elements of a set. A range ends before the next address; one that reaches
// the last does not end.
func elements(s Set) []nftables.SetElement {
	var all []nftables.SetElement
	for _, e := range s.Elements {
		all = append(all, nftables.SetElement{Key: e.First})
		if !s.Interval {
			continue
		}
		if next := slices.Clone(e.Last); increment(next) {
			all = append(all, nftables.SetElement{Key: next, IntervalEnd: true})
		}
	}
	return all
}

// increment adds one to a number in network byte order, and reports whether it fits.
func increment(b []byte) bool {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return true
		}
	}
	return false
}

// Intact reports whether a table is as Replace has left it, but for the elements of its sets.
func (k *Kernel) Intact(name string) (bool, error) {
	now, err := k.handles(name)
	return err == nil && len(now) > 0 && slices.Equal(now, k.made[name]), err
}

// handles returns the handles of all rules of a table, which the kernel never gives twice.
func (k *Kernel) handles(name string) ([]uint64, error) {
	chains, err := k.chains(name)
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, c := range chains {
		rules, err := k.conn.GetRules(c.Table, c)
		if errors.Is(err, unix.ENOENT) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("list rules of nftables table %s: %w", name, err)
		}
		for _, r := range rules {
			all = append(all, r.Handle)
		}
	}
	return all, nil
}

// Delete removes a table. The error wraps unix.ENOENT where there is none.
func (k *Kernel) Delete(name string) error {
	err := patiently(func() error {
		k.conn.DelTable(table(name))
		return k.conn.Flush()
	})
	if err != nil {
		return fmt.Errorf("delete nftables table %s: %w", name, err)
	}
	delete(k.made, name)
	return nil
}
