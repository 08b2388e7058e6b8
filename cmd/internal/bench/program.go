package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is what has to be there for a router.
type program struct {
	command  string // looked for on the PATH, "" = none is needed
	variable string // of the environment, which may name another
	built    string // where make leaves it; goes before the PATH
}

// find returns the path of the program.
func (p program) find(getenv func(string) string) (string, error) {
	if path := getenv(p.variable); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("find %s: %s: %w", p.command, p.variable, err)
		}
		return filepath.Abs(path)
	}
	if p.built != "" {
		if _, err := os.Stat(p.built); err == nil {
			return filepath.Abs(p.built)
		}
	}
	path, err := exec.LookPath(p.command)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", p.command, err)
	}
	return path, nil
}

// versionOf returns what is known about a program's version: what Go has put into the binary;
// otherwise what the program says itself, what the checkout says it was built in, or what Debian
// says that has packed it.
func versionOf(path string) string {
	if info, err := buildinfo.ReadFile(path); err == nil {
		version := info.Main.Version
		if version == "" || version == "(devel)" {
			version = firstLine("git", "-C", filepath.Dir(path), "describe", "--always", "--dirty")
		}
		return strings.TrimSpace(version + " " + info.GoVersion)
	}
	if version := firstLine(path, "--version"); version != "" && !strings.Contains(version, "unknown") {
		return version
	}
	owner, _, _ := strings.Cut(firstLine("dpkg-query", "-S", path), ":")
	return firstLine("dpkg-query", "-W", "-f", "${Package} ${Version}", owner)
}

// firstLine returns what a command prints first, "" if it fails.
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
