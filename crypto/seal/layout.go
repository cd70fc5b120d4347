package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
)

// Layout of the age files that Schakel writes and the only one that it opens
// (age-encryption.org/v1 with n mlkem768x25519 stanzas):
//
//	22        "age-encryption.org/v1\n"
//	1557 * n  "-> mlkem768x25519 " 1494 base64 "\n" 43 base64 "\n"
//	48        "--- " 43 base64 "\n"
//	16        nonce
//	P + 16 per started 64 KiB of P
//
// and of the plaintext P: L as u32 BE, L bytes of delivery, zeros.
const (
	intro       = "age-encryption.org/v1\n"
	footer      = "--- "
	footerSize  = len(footer) + 43 + 1
	stanzaType  = "mlkem768x25519"
	argSize     = 1494 // base64, unpadded, of 1088 + 32 bytes
	bodySize    = 32   // a sealed file key
	fileKeySize = 16
	stanzaSize  = 3 + len(stanzaType) + 1 + argSize + 1 + 43 + 1
	nonceSize   = 16
	chunkSize   = 64 << 10
	tagSize     = 16
	lengthSize  = 4
	minPadded   = 4096
)

// sealedSize is the exact size of the age file for n devices and a padded plaintext.
func sealedSize(n, padded int) int {
	chunks := (padded + chunkSize - 1) / chunkSize
	return len(intro) + n*stanzaSize + footerSize + nonceSize + padded + chunks*tagSize
}

// paddedSize is Padmé (Nikitin et al., PURBs, 2019) of the delivery with its
// length, at least minPadded: at most 12 % is added, and a size tells only its
// order of magnitude and a few bits more.
func paddedSize(deliverySize int) int {
	n := lengthSize + deliverySize
	if n <= minPadded {
		return minPadded
	}
	exponent := bits.Len(uint(n)) - 1
	low := exponent - bits.Len(uint(exponent)) // bits that are rounded away
	mask := 1<<low - 1
	return (n + mask) &^ mask
}

// checkLayout refuses, by arithmetic alone, an age file that cannot be one of n
// hybrid stanzas around a padded delivery, and returns the size of its plaintext.
// 1024 junk stanzas (attack A18), armor, and stanzas of other kinds (A20) cost no
// more than this.
func checkLayout(sealed []byte, n int) (padded int, err error) {
	head := len(intro) + n*stanzaSize
	body := len(sealed) - head - footerSize - nonceSize
	if body < minPadded || !bytes.HasPrefix(sealed, []byte(intro)) || !bytes.HasPrefix(sealed[head:], []byte(footer)) {
		return 0, fmt.Errorf("%w: not an age file with %d hybrid stanzas", ErrStanzas, n)
	}
	padded = body - tagSize*((body+chunkSize+tagSize-1)/(chunkSize+tagSize))
	if sealedSize(n, padded) != len(sealed) || paddedSize(padded-lengthSize) != padded {
		return 0, fmt.Errorf("%w: %d bytes are no padded size", ErrPadding, padded)
	}
	return padded, nil
}

// unpad returns the delivery inside a decrypted plaintext. Exactly one padding is
// accepted: anything else could carry something unseen (attack F07).
func unpad(plain []byte) ([]byte, error) {
	n := binary.BigEndian.Uint32(plain)
	if n == 0 || n > delivery.MaxSize || paddedSize(int(n)) != len(plain) {
		return nil, fmt.Errorf("%w: delivery of %d bytes in %d", ErrPadding, n, len(plain))
	}
	end := lengthSize + int(n)
	for _, b := range plain[end:] {
		if b != 0 {
			return nil, fmt.Errorf("%w: padding is not zero", ErrPadding)
		}
	}
	return plain[lengthSize:end], nil
}

// zeros is what padding is written from.
var zeros [minPadded]byte

// _ fails to compile when the largest delivery for the most devices would not fit
// an envelope: 528 KiB is its padded size.
var _ [envelope.MaxSize - (6 + envelope.MaxHeader + 86 + envelope.MaxTargets*stanzaSize + 528<<10 + 9*tagSize)]byte
