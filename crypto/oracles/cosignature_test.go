package oracles_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// theirWitness is the key of our first witness, as transparency-dev/formats has it.
func theirWitness(t *testing.T) (note.Signer, note.Verifier) {
	t.Helper()
	v := trusttest.Witnesses(1)[0]
	verifier, err := formats.NewVerifierForCosignatureV1(v.String())
	must(t, err)
	seed := append([]byte{4}, trusttest.WitnessKey(0).Private.Seed()...)
	signer, err := formats.NewSignerForCosignatureV1(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", v.Name, verifier.KeyHash(),
		base64.StdEncoding.EncodeToString(seed)))
	must(t, err)
	return signer, verifier
}

// TestCosignature: a witness of theirs counts for us and ours for them, at the same
// time; each has a twin, changed in one thing, that counts for nobody.
func TestCosignature(t *testing.T) {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	chain := trusttest.New(at)
	root := trust.Root{Witnesses: trusttest.Witnesses(1), Quorum: 1}
	plain := chain.Update(1).Checkpoint
	signer, verifier := theirWitness(t)
	logKey, err := note.NewVerifier(chain.Relay.Log.String())
	must(t, err)

	ours := trusttest.Cosigned(plain, at, 0)
	opened, err := note.Open(ours, note.VerifierList(logKey, verifier))
	must(t, err)
	if len(opened.Sigs) != 2 || len(opened.UnverifiedSigs) != 0 {
		t.Fatalf("they verify %d of our 2 signatures", len(opened.Sigs))
	}
	told, err := formats.CoSigV1Timestamp(opened.Sigs[1])
	must(t, err)
	if !told.Equal(at) {
		t.Errorf("they read the time %v, we wrote %v", told, at)
	}
	twin := bytes.Replace(ours, []byte("\n2\n"), []byte("\n3\n"), 1)
	if _, err := note.Open(twin, note.VerifierList(verifier)); err == nil || bytes.Equal(twin, ours) {
		t.Error("they verify our cosignature below another size")
	}

	theirs, err := note.Sign(opened, signer) // takes the place of our own
	must(t, err)
	c, err := trust.ParseCheckpoint(theirs)
	must(t, err)
	must(t, c.SignedBy(chain.Relay.Log))
	if when, err := c.CosignedAt(root, time.Now()); err != nil || time.Since(when).Abs() > time.Hour {
		t.Errorf("their cosignature at %v: %v", when, err)
	}
	c, err = trust.ParseCheckpoint(bytes.Replace(theirs, []byte("\n2\n"), []byte("\n3\n"), 1))
	must(t, err)
	if _, err := c.CosignedAt(root, time.Time{}); err == nil {
		t.Error("we verify their cosignature below another size")
	}
}
