// Package sched carries work to goroutines.
package sched
