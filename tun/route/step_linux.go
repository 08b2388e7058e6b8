package route

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// step is one change of the host. Configure makes it, Plan prints it, Watch makes it again, and
// Close and Cleanup undo it.
type step struct {
	command string // the equivalent shell command
	id      string // of the object that is made; "" if the command identifies it
	revert  string // the equivalent of undo; "" means command with del for add
	watched bool   // Watch makes the step again if another program has undone it
	creates bool   // makes an interface, to which the next steps that are not watched belong
	why     string // purpose of this step and the next ones, up to another that says its own

	// apply returns an error that wraps unix.EEXIST if the object is there already.
	apply func(*handles) error
	undo  func(*handles) error // nil if the object is deleted with its interface
}

// errIsSet is the error of a step that sets a value which is set already.
var errIsSet = fmt.Errorf("the value is set: %w", unix.EEXIST)

// undoCommand returns the shell equivalent of undo.
func (s step) undoCommand() string {
	if s.revert != "" {
		return s.revert
	}
	return strings.Replace(s.command, " add ", " del ", 1)
}

// sameObject reports whether two steps make the same object, the second in place of the first.
func (s step) sameObject(t step) bool {
	if s.id != "" || t.id != "" {
		return s.id == t.id
	}
	return s.command == t.command
}

// summary returns the command in one line.
func (s step) summary() string {
	if s.id != "" {
		return s.id
	}
	return s.command
}

// steps returns all steps in order.
func (c Config) steps() []step {
	steps := interfaceSteps(c)
	if c.hasRules() && c.Closed {
		steps = append(steps, because("takes the traffic while the process is dead (on_crash: closed)", guardSteps(c))...)
	}
	steps = append(steps, because("which destinations stay out, and which enter", routeSteps(c))...)
	if !c.hasRules() {
		return steps
	}
	if c.Underlay.Pings != "" {
		steps = append(steps, because("lets the router's group ping: the host lets none", []step{pingStep(c.Underlay.Pings)})...)
	}
	var all []step
	for _, family := range families(c.Include) {
		for _, r := range rules(c, family) {
			all = append(all, ruleStep(r))
		}
	}
	steps = append(steps, because("which packets pass by these routes, and which look them up", all)...)
	if c.ByRules {
		return steps
	}
	// Last, and as one transaction: a packet that is marked and finds no rule would be refused.
	return append(steps, because("from here on packets enter: tells which by connection tracking, and marks them", []step{tableStep(c)})...)
}

// because gives the first of the steps a purpose.
func because(why string, steps []step) []step {
	if len(steps) > 0 {
		steps[0].why = why
	}
	return steps
}

// isGone reports whether an object could not be deleted because it, or its interface, does not
// exist.
func isGone(err error) bool {
	for _, errno := range []error{unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EADDRNOTAVAIL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.As(err, new(netlink.LinkNotFoundError))
}
