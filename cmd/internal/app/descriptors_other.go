//go:build !unix

package app

// descriptorLimit is for systems that have one.
func descriptorLimit() uint64 { return noDescriptorLimit }
