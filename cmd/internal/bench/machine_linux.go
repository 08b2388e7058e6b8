package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine returns the facts about the machine that a reader needs, as pairs of name and value.
func machine() ([][2]string, error) {
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return nil, fmt.Errorf("read kernel version: %w", err)
	}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil, err
	}
	average, _, _ := strings.Cut(string(load), " ")
	return [][2]string{
		{"machine", fmt.Sprintf("%s, %d cores, %s", cpuModel(string(cpu)), runtime.NumCPU(), runtime.GOARCH)},
		{"kernel", "Linux " + unix.ByteSliceToString(kernel.Release[:])},
		{"Go of relay and load", runtime.Version()},
		{"load average before", average},
	}, nil
}

// cpuModel returns the name of the processor in cpuinfo, or "unknown processor": not every
// architecture tells.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
