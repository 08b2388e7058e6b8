package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is a file that a router needs.
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

// versionOf returns a program's version: the one that Go has put into the binary; otherwise the
// program's own word, that of the checkout it was built in, or of the Debian package.
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

// firstLine returns the first line of a command's output, "" if it fails.
func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
