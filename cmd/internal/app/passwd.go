//go:build linux

package app

// passwdFile has the names of users.
const passwdFile = "/etc/passwd"
