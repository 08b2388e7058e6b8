package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
)

// policyFlags are rules of egress on the command line, in the order given.
type policyFlags struct {
	file   string
	rules  []config.EgressRule
	doubts []doubt
}

func addPolicyFlags(cmd *cobra.Command) *policyFlags {
	p := new(policyFlags)
	const form = "`TARGET` = NAME|ADDRESS|PREFIX[:PORT[-PORT]][/PROTOCOL], such as pypi.org:443, " +
		"*.example.com or [2001:db8::1]:22/tcp (PROTOCOL is tcp, udp or icmp)"
	f := cmd.Flags()
	f.Var(&ruleFlag{p, "--allow", config.Allow}, "allow", "let the command reach "+form+
		", and nothing else unless a rule allows it; may be repeated, the first rule that matches counts")
	f.Var(&ruleFlag{p, "--deny", config.Deny}, "deny",
		"keep the command from reaching `TARGET`, of the same form; may be repeated")
	f.StringVar(&p.file, "policy", "", "use the rules in `FILE`, the section egress of a config, "+
		"instead of the config's")
	return p
}

// ruleFlag is a flag that adds a rule.
type ruleFlag struct {
	flags   *policyFlags
	name    string
	verdict config.Verdict
}

// Set implements pflag.Value.
func (f *ruleFlag) Set(target string) error {
	r, err := config.NewEgressRule(f.name, f.verdict, target)
	if err != nil {
		return err
	}
	f.flags.rules = append(f.flags.rules, r)
	if address, port, ok := config.PortOrGroup(target); ok {
		f.flags.doubts = append(f.flags.doubts, doubt{r.Flag, target, address, port})
	}
	return nil
}

// doubt is an address in a flag that may be meant as another with a port.
type doubt struct{ flag, target, address, port string }

// warn tells what may be meant otherwise.
func (p *policyFlags) warn(w io.Writer) {
	for _, d := range p.doubts {
		fmt.Fprintf(w, "syntap: warning: %s has an address without a port\n", d.flag)
		fmt.Fprintf(w, "hint: port %s of %s is [%s]:%s, and the address [%s]\n",
			d.port, d.address, d.address, d.port, strings.TrimSuffix(strings.TrimSuffix(d.target, "/tcp"), "/udp"))
	}
}

// String implements pflag.Value.
func (f *ruleFlag) String() string { return "" }

// Type implements pflag.Value.
func (f *ruleFlag) Type() string { return "TARGET" }

// load puts the file into c, if there is one.
func (p *policyFlags) load(c *config.Config) error {
	if p.file == "" {
		return nil
	}
	e, err := config.LoadPolicy(p.file)
	if err != nil {
		return err
	}
	c.Egress = *e
	return nil
}

// apply puts the rules of the command line into c, before those of the file.
func (p *policyFlags) apply(c *config.Config) error {
	if len(p.rules) == 0 {
		return nil
	}
	c.Egress.Rules = slices.Concat(p.rules, c.Egress.Rules)
	isAllow := func(r config.EgressRule) bool { return r.Verdict == config.Allow }
	if slices.ContainsFunc(p.rules, isAllow) {
		c.Egress.Default = config.Deny
	}
	hasName := func(r config.EgressRule) bool { return len(r.Name) > 0 }
	if i := slices.IndexFunc(p.rules, hasName); i >= 0 && c.Egress.Names == config.NamesOff {
		return hint.Usage(fmt.Errorf("%s: can match nothing with egress.names: off", p.rules[i].Flag), "use --names dns or virtual")
	}
	return nil
}
