// Package resolver answers DNS queries in the router's own name.
package resolver
