package inspect_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// initial is an Initial packet of a client, as an encoder of its own makes it (RFC 9001 §5.3,
// §5.4).
type initial struct {
	version    uint32
	dcid, keys string // keys is the connection ID that they come from; empty for dcid
	token      string
	number     uint32
	frames     string
	greased    bool // it has no fixed bit (RFC 9287)
}

func (p initial) bytes(t testing.TB) []byte {
	t.Helper()
	salt, label, kind := "38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "quic ", byte(0xc3)
	if p.version == quicV2 {
		salt, label, kind = "0dede3def700a6db819381be6e269dcbf9bd2ed9", "quicv2 ", 0xd3
	}
	if p.keys == "" {
		p.keys = p.dcid
	}
	s, err := hex.DecodeString(salt)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := hkdf.Extract(sha256.New, []byte(p.keys), s)
	if err != nil {
		t.Fatal(err)
	}
	expand := func(secret []byte, label string, n int) []byte {
		info := string([]byte{0, byte(n), byte(6 + len(label))}) + "tls13 " + label + "\x00"
		key, err := hkdf.Expand(sha256.New, secret, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	secret = expand(secret, "client in", 32)
	iv := expand(secret, label+"iv", 12)
	if p.greased {
		kind &^= 0x40
	}
	b := binary.BigEndian.AppendUint32([]byte{kind}, p.version)
	b = append(append(b, byte(len(p.dcid))), p.dcid...)
	b = append(append(b, 0, byte(len(p.token))), p.token...)
	b = binary.BigEndian.AppendUint16(b, uint16(0x4000|4+len(p.frames)+16))
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, p.number)
	for i, c := range b[at:] {
		iv[8+i] ^= c
	}
	gcm, err := cipher.NewGCM(block(t, expand(secret, label+"key", 16)))
	if err != nil {
		t.Fatal(err)
	}
	b = gcm.Seal(b, iv, []byte(p.frames), b)
	mask := make([]byte, 16)
	block(t, expand(secret, label+"hp", 16)).Encrypt(mask, b[at+4:at+20])
	b[0] ^= mask[0] & 0xf
	for i := range 4 {
		b[at+i] ^= mask[1+i]
	}
	return b
}

func block(t testing.TB, key []byte) cipher.Block {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// crypto returns a CRYPTO frame.
func crypto(offset int, data string) string {
	return "\x06" + string([]byte{0x40 | byte(offset>>8), byte(offset), 0x40 | byte(len(data)>>8), byte(len(data))}) + data
}

// padded returns frames with so many bytes of PADDING that the packet has 1,200 bytes.
func padded(frames string) string { return frames + strings.Repeat("\x00", 1162-len(frames)) }

func readHex(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
