//go:build !unix

package audit

// noFollow is a flag of unix systems.
const noFollow = 0
