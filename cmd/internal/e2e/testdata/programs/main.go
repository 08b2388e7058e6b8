//go:build linux

// Command programs starts many short-lived programs, itself by other names, each of which opens
// connections to a port of its own. It prints the port, the process and the user of each.
//
//	programs start FILE,... ADDRESS SECONDS PROGRAMS-PER-SECOND CONNECTIONS USERS
//	programs open ADDRESS PORT CONNECTIONS
//
// Or it asks the web server of a host for something, by Go's own resolver.
//
//	programs get HOST
package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	life      = 200 * time.Millisecond
	firstPort = 1024
	firstUser = 20000
)

func main() {
	var err error
	switch os.Args[1] {
	case "start":
		err = start(os.Args[2:])
	case "open":
		err = open(os.Args[2:])
	case "get":
		err = get(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(host string) error {
	d := net.Dialer{Resolver: &net.Resolver{PreferGo: true}}
	c, err := d.Dial("tcp", net.JoinHostPort(host, "80"))
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// start starts the programs at a steady rate, or as fast as the machine can, and waits for them.
func start(args []string) error {
	files, address, connections := strings.Split(args[0], ","), args[1], args[4]
	seconds, perSecond, users := number(args[2]), number(args[3]), number(args[5])
	var all sync.WaitGroup
	alive := make(chan struct{}, 2*perSecond*int(life/time.Millisecond)/1000)
	began := time.Now()
	for i := range seconds * perSecond {
		if time.Since(began) > time.Duration(2*seconds)*time.Second {
			break
		}
		alive <- struct{}{}
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		file, uid := files[i%len(files)], firstUser+i%users
		cmd := exec.Command(file, "open", address, strconv.Itoa(firstPort+i), connections)
		cmd.Stderr = os.Stderr
		cmd.Env = []string{"GOMAXPROCS=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)},
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Println(firstPort+i, cmd.Process.Pid, uid, file)
		all.Go(func() { _ = cmd.Wait(); <-alive })
	}
	all.Wait()
	return nil
}

// open opens connections at a steady rate, keeps every other one for its life, and ends.
func open(args []string) error {
	address := netip.AddrPortFrom(netip.MustParseAddr(args[0]), uint16(number(args[1])))
	connections := number(args[2])
	to := &syscall.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())}
	began := time.Now()
	for i := range connections {
		time.Sleep(time.Until(began.Add(time.Duration(i) * life / time.Duration(connections))))
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := syscall.Connect(fd, to); err != nil {
			return err
		}
		if i%2 == 0 {
			if err := syscall.Close(fd); err != nil {
				return err
			}
		}
	}
	time.Sleep(time.Until(began.Add(life)))
	return nil
}
