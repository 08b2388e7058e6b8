package isolate

import (
	"fmt"
	"strings"
)

// Process is a process of syntap with its rights, as the kernel tells them: those of all of its
// threads together.
type Process struct {
	PID          int          `json:"pid"`
	Role         string       `json:"role"`
	UID          uint32       `json:"uid"` // effective
	Capabilities Capabilities `json:"capabilities"`
	NoNewPrivs   bool         `json:"no_new_privs"`
	Seccomp      Seccomp      `json:"seccomp"`
	Landlock     bool         `json:"landlock"` // restricts which files it may open
	Writable     []string     `json:"writable"` // mounts that are not read-only for it; none under Landlock
}

// The roles of processes.
const (
	Keeper = "keeper" // changes the host, and starts the others again where they have died
	Router = "router" // reads packets
	Web    = "web"    // serves the page, the API and the metrics
)

// Capabilities are the names of those in each set of a process (capabilities(7)), in the order of
// their numbers.
type Capabilities struct {
	Effective   []string `json:"effective"`
	Permitted   []string `json:"permitted"`
	Inheritable []string `json:"inheritable"`
	Bounding    []string `json:"bounding"`
	Ambient     []string `json:"ambient"`
}

// Seccomp is how the system calls of a process are restricted (proc_pid_status(5)).
type Seccomp string

// The modes of seccomp(2).
const (
	SeccompOff    Seccomp = "off"
	SeccompStrict Seccomp = "strict"
	SeccompFilter Seccomp = "filter"
)

// String returns the rights for people, without the mounts.
func (p *Process) String() string {
	parts := []string{
		fmt.Sprintf("%d %s: user %d", p.PID, p.Role, p.UID),
		p.Capabilities.String(),
	}
	if p.NoNewPrivs {
		parts = append(parts, "no new privileges")
	} else {
		parts = append(parts, "may get new privileges")
	}
	if p.Seccomp == SeccompOff {
		parts = append(parts, "system calls not filtered")
	} else {
		parts = append(parts, "system calls filtered")
	}
	if p.Landlock {
		parts = append(parts, "landlock")
	} else {
		parts = append(parts, "no landlock")
	}
	return strings.Join(parts, ", ")
}

// mountsShown is how many mounts Mounts names.
const mountsShown = 8

// Hold notes whether landlock holds the process as [Enter] has it do: it can open no file to write
// then, wherever that is.
func (p *Process) Hold(landlock bool) {
	if p.Landlock = landlock; landlock {
		p.Writable = []string{}
	}
}

// Mounts returns for people the mounts that it may write to. Below them the modes of files
// decide.
func (p *Process) Mounts() string {
	if len(p.Writable) == 0 {
		return "no writable path"
	}
	text := "not read-only: " + strings.Join(p.Writable[:min(len(p.Writable), mountsShown)], " ")
	if more := len(p.Writable) - mountsShown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// namesShown is how many capabilities String names.
const namesShown = 8

// String returns for people those that the process has, or could take.
func (c *Capabilities) String() string {
	switch n := len(c.Permitted); {
	case n == 0:
		return "no capability"
	case n > namesShown:
		return fmt.Sprintf("%d capabilities", n)
	}
	return strings.Join(c.Permitted, " ")
}
