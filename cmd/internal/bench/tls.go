package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// selfSigned returns a server's configuration with a certificate of its own.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
}

// begun is a connection of which the first bytes have been read.
type begun struct {
	net.Conn
	r io.Reader // of those bytes, and the rest
}

func (b begun) Read(p []byte) (int, error) { return b.r.Read(p) }

// echoTLS sends back the bytes that it reads from a TLS connection, but for the first. Of its own
// bytes n have been read.
func (f *farEnd) echoTLS(conn net.Conn, buf []byte, n int) {
	conn = tls.Server(begun{conn, io.MultiReader(bytes.NewReader(bytes.Clone(buf[:n])), conn)}, f.tls)
	if n, err := conn.Read(buf); err == nil {
		echoTCP(conn, buf, n)
	}
}

// connectTLS opens one TLS connection after the other. One that echoes a byte is done.
func connectTLS(c *counter, target string) error {
	// The far end is this program: its certificate proves nothing.
	config := tls.Config{ServerName: "bench.example.com", InsecureSkipVerify: true}
	for {
		if err := c.openTLS(target, &config); err != nil {
			c.failed.Add(1)
		}
	}
}

func (c *counter) openTLS(target string, config *tls.Config) error {
	start := time.Now()
	conn, err := net.DialTimeout("tcp", target, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(start.Add(patience))
	_ = conn.(*net.TCPConn).SetLinger(0) // a port in TIME_WAIT is one less to connect from
	client := tls.Client(conn, config)
	if _, err := client.Write([]byte{askEcho, '1'}); err != nil {
		return err
	}
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		return err
	}
	c.operation(time.Since(start))
	return nil
}
