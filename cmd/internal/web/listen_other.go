//go:build !linux

package web

import "net"

func listenPrivately(network, addr string) (net.Listener, error) { return net.Listen(network, addr) }
