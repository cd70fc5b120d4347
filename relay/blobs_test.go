package relay_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"schakel/crypto/identity"
	"schakel/relay/relaytest"
	"schakel/relay/wire"
)

// sealed is what a relay sees of an attachment: random bytes and their SHA-256.
func sealed(size int) ([]byte, wire.BlobID) {
	content := make([]byte, size)
	rand.Read(content)
	return content, sha256.Sum256(content)
}

// upload uploads what the relay does not have yet, in parts of a size.
func upload(t *testing.T, b *wire.Blobs, content []byte, id wire.BlobID, part int, desks ...identity.DeskID) error {
	t.Helper()
	offset := 0
	for {
		size := min(part, len(content)-offset)
		state, err := b.Append(context.Background(), id, wire.BlobPart{
			Offset: int64(offset), Length: int64(len(content)), Desks: desks, Body: bytes.NewReader(content[offset : offset+size]), Size: int64(size),
		})
		if err != nil && !errors.Is(err, wire.ErrBlobOffset) {
			return err
		}
		if state.Complete {
			return nil
		}
		offset = int(state.Offset)
	}
}

// download fetches a range.
func download(b *wire.Blobs, id wire.BlobID, offset, size int) ([]byte, error) {
	r, err := b.Read(context.Background(), id, int64(offset), int64(size))
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

func TestBlobTravels(t *testing.T) {
	w := relaytest.New(t, relaytest.Config{})
	a := w.Enrol("vt20/crisis", identity.RoleVeiligThuis)
	b := w.Enrol("pol-mn/zeden", identity.RolePolitie)
	content, id := sealed(3*wire.MinBlobPart + 17)
	if err := upload(t, a.Blobs(), content, id, wire.MinBlobPart, b.Desk); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*relaytest.Device{a, b} {
		got, err := download(d.Blobs(), id, 0, len(content))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", d.Desk, len(got), err)
		}
	}
	part, err := download(b.Blobs(), id, wire.MinBlobPart-5, 10)
	if err != nil || !bytes.Equal(part, content[wire.MinBlobPart-5:wire.MinBlobPart+5]) {
		t.Errorf("a range over two parts: %d bytes, %v", len(part), err)
	}
}
