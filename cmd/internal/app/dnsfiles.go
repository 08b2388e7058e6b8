//go:build linux

package app

// dnsFiles is how many files they are.
const dnsFiles = 2
