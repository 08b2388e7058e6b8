package inspect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// initialKeys open the Initial packets of a client (RFC 9001 §5).
type initialKeys struct {
	aead cipher.AEAD
	iv   [12]byte
	hp   cipher.Block // of the header protection
}

// initialParams are the constants of a version of QUIC.
type initialParams struct {
	salt        []byte
	key, iv, hp string // labels
}

var (
	paramsV1 = initialParams{ // RFC 9001 §5.1, §5.2
		salt: []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"),
		key:  "quic key", iv: "quic iv", hp: "quic hp",
	}
	paramsV2 = initialParams{ // RFC 9369 §3.3
		salt: []byte("\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"),
		key:  "quicv2 key", iv: "quicv2 iv", hp: "quicv2 hp",
	}
)

// newInitialKeys derives the keys from the client's first destination connection ID.
func newInitialKeys(version uint32, dcid []byte) (*initialKeys, error) {
	p := &paramsV1
	if version == quicV2 {
		p = &paramsV2
	}
	secret, err := hkdf.Extract(sha256.New, dcid, p.salt)
	expand := func(secret []byte, label string, size int) (key []byte) {
		if err == nil {
			key, err = hkdf.Expand(sha256.New, secret, expandLabel(label, size), size)
		}
		return key
	}
	client := expand(secret, "client in", sha256.Size)
	key, iv, hp := expand(client, p.key, 16), expand(client, p.iv, 12), expand(client, p.hp, 16)
	if err != nil {
		return nil, err
	}
	k := new(initialKeys)
	copy(k.iv[:], iv)
	if k.hp, err = aes.NewCipher(hp); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// expandLabel returns the HkdfLabel of HKDF-Expand-Label without context (RFC 8446 §7.1).
func expandLabel(label string, size int) string {
	label = "tls13 " + label
	return string([]byte{byte(size >> 8), byte(size), byte(len(label))}) + label + "\x00"
}

// open returns the payload of a packet, or nil if these are not its keys.
func (k *initialKeys) open(p longHeader, datagram []byte) []byte {
	const longestNumber, sample = 4, aes.BlockSize
	if p.end-p.number < longestNumber+sample {
		return nil
	}
	var mask [aes.BlockSize]byte
	k.hp.Encrypt(mask[:], datagram[p.number+longestNumber:]) // RFC 9001 §5.4
	size := int(datagram[0]^mask[0])&3 + 1
	header := append([]byte(nil), datagram[:p.number+size]...)
	header[0] ^= mask[0] & 0xf
	var number uint32 // of few bytes: the client has just begun to count
	for i := range size {
		header[p.number+i] ^= mask[1+i]
		number = number<<8 | uint32(header[p.number+i])
	}
	nonce := k.iv
	last := nonce[len(nonce)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)^number)
	payload, err := k.aead.Open(nil, nonce[:], datagram[p.number+size:p.end], header)
	if err != nil {
		return nil
	}
	return payload
}
