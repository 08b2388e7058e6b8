//go:build !linux

package dial

import "net/netip"

type routeAsker struct{}

func (routeAsker) isOwn(netip.Addr, uint32) bool { return true }
func (routeAsker) close()                        {}
