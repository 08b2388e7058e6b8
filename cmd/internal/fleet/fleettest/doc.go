// Package fleettest has stores for the tests of those who send them records and ask for them.
package fleettest
