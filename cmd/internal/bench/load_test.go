package main

import (
	"net"
	"testing"
)

// The answer to a datagram that was given up is not taken for that to the next one.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := func() { // the next message
		b := make([]byte, roundTripSize)
		n, from, err := server.ReadFrom(b)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := server.WriteTo(b[:n], from); err != nil {
			t.Error(err)
		}
	}
	c := newCounter()
	for _, message := range []string{"first", "second"} {
		if datagramTrip(c, conn, []byte(message)) == nil {
			t.Errorf("the %s message was answered", message)
		}
		answer()
	}
	answered := make(chan struct{})
	go func() {
		answer()
		close(answered)
	}()
	if err := datagramTrip(c, conn, []byte("third")); err != nil {
		t.Error(err)
	}
	<-answered
	if s := c.sample(); s.Done != 1 {
		t.Errorf("%d round trips, want 1", s.Done)
	}
}
