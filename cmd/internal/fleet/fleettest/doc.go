// Package fleettest runs the engines that keep the records of a fleet, for tests: the real ones, at
// the versions that are named here.
package fleettest
