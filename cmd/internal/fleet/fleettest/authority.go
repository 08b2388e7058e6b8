package fleettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates for a test.
type Authority struct {
	File string // of its own certificate

	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with files in a directory.
func NewAuthority(tb testing.TB, dir, name string) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, dir: dir}
	template := template(name)
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	a.key = newKey(tb)
	a.File, a.cert = a.write(name, template, template, &a.key.PublicKey, a.key)
	return a
}

// Issue writes a certificate for a name, and for addresses where it is one of a server, with its
// key.
func (a *Authority) Issue(name string, addresses ...string) (cert, key string) {
	a.tb.Helper()
	template := template(name)
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	k := newKey(a.tb)
	cert, _ = a.write(name, template, a.cert, &k.PublicKey, a.key)
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.tb.Fatal(err)
	}
	key = filepath.Join(a.dir, name+".key")
	a.writePEM(key, "EC PRIVATE KEY", der)
	return cert, key
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func (a *Authority) write(
	name string, template, parent *x509.Certificate, public *ecdsa.PublicKey,
	signer *ecdsa.PrivateKey,
) (file string, cert *x509.Certificate) {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		a.tb.Fatal(err)
	}
	file = filepath.Join(a.dir, name+".pem")
	a.writePEM(file, "CERTIFICATE", der)
	return file, cert
}

func (a *Authority) writePEM(file, kind string, der []byte) {
	a.tb.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		a.tb.Fatal(err)
	}
}
