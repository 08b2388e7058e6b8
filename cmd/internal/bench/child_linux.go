package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
)

// childArgument stands first on the command line of a child.
const childArgument = "child"

// runChild is main in a child: far end, load, relay, name server, or store of records.
//
//	serve ADDRESS          answers on standard input
//	load KIND TARGET N     answers on standard input
//	relay ADDRESS TARGET...
//	dns ADDRESS
//	store ADDRESS
func runChild(args []string, stdin io.Reader, stdout io.Writer) error {
	c := newCounter()
	failed := make(chan error, 2)
	switch {
	case len(args) == 2 && args[0] == "serve":
		go func() { failed <- (&farEnd{counter: c}).serve(args[1]) }()
	case len(args) == 4 && args[0] == "load":
		kind, ok := loads()[args[1]]
		n, err := strconv.Atoi(args[3])
		if !ok || err != nil {
			return fmt.Errorf("start load %q %q: no such kind or number", args[1], args[3])
		}
		go func() { failed <- kind.parallel(c, args[2], n) }()
	case len(args) >= 3 && len(args)%2 == 1 && args[0] == "relay":
		for ends := range slices.Chunk(args[1:], 2) {
			l, err := net.Listen("tcp", ends[0])
			if err != nil {
				return err
			}
			go func() { failed <- relay(l, ends[1]) }()
		}
		return <-failed
	case len(args) == 2 && args[0] == "dns":
		return serveDNS(args[1])
	case len(args) == 2 && args[0] == "store":
		return serveStore(args[1])
	default:
		return fmt.Errorf("start child %q: unknown arguments", args)
	}
	go func() { failed <- c.answer(stdin, stdout) }()
	return <-failed
}

// child is a far end or a load as its parent sees it.
type child struct {
	*process
	ask     io.Writer
	answers *json.Decoder
}

// self is this program, which children run.
const self = "/proc/self/exe"

func startChild(ctx context.Context, ns namespace, command []string) (*child, error) {
	c := &child{process: newProcess(ctx, command)}
	if command[0] == self {
		c.cmd.Args[0] = "bench"
	}
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of our own: Wait would close one of exec's under a reader.
	stdout, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Stdout = w
	c.ask, c.answers = stdin, json.NewDecoder(stdout)
	context.AfterFunc(ctx, func() { stdout.Close() })
	err = c.start(ns)
	w.Close()
	return c, err
}

// sample asks the child for its counters.
func (c *child) sample() (sample, error) {
	var s sample
	_, err := io.WriteString(c.ask, "\n")
	if err == nil {
		err = c.answers.Decode(&s)
	}
	if err != nil {
		return s, c.ended() // as it has, or will have with ctx
	}
	return s, nil
}
