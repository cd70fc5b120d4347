package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"syscall"
	"testing"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// killer kills the relay when half of a part has been read from it, and then ends as a
// device whose connection is gone.
type killer struct {
	io.Reader
	left int
	kill func()
}

func (k *killer) Read(b []byte) (int, error) {
	n, err := k.Reader.Read(b)
	if k.left -= n; k.left <= 0 && k.kill != nil {
		k.kill()
		k.kill = nil
	}
	return n, err
}

// The program is killed in the middle of parts, ten times. Each part that it
// answered for is there when it is back, no half one is, and in the end every byte is
// the right one.
func TestKilledRelayKeepsParts(t *testing.T) {
	const part, parts = wire.MinBlobPart, 10
	p, from, to, _ := newProcess(t)
	p.start()
	content := make([]byte, part*parts)
	rand.Read(content)
	id := wire.BlobID(sha256.Sum256(content))
	append1 := func(offset int, body io.Reader) (wire.BlobState, error) {
		return from.Blobs().Append(context.Background(), id, wire.BlobPart{
			Offset: int64(offset), Length: int64(len(content)), Desks: []identity.DeskID{to.Desk}, Body: body, Size: part,
		})
	}
	kills := 0
	for offset := 0; offset < len(content); offset += part {
		piece := content[offset : offset+part]
		state, err := append1(offset, &killer{bytes.NewReader(piece), part / 2, func() { p.stop(syscall.SIGKILL) }})
		kills++
		p.start()
		switch {
		case err == nil: // it had read all in spite of that, and answered
			if state.Offset != int64(offset+part) {
				t.Fatalf("answered with %+v", state)
			}
		case offset > 0:
			state, err := from.Blobs().State(context.Background(), id)
			if err == nil && state.Offset == int64(offset+part) { // kept, and the answer was lost
				continue
			}
			if err != nil || state.Offset != int64(offset) {
				t.Fatalf("kill %d: %+v of %d that were answered for: %v", kills, state, offset, err)
			}
			fallthrough
		default:
			if state, err := append1(offset, bytes.NewReader(piece)); err != nil || state.Offset != int64(offset+part) {
				t.Fatalf("kill %d: again: %+v, %v", kills, state, err)
			}
		}
	}
	if kills < 10 {
		t.Errorf("only %d kills", kills)
	}
	p.stop(syscall.SIGKILL) // and what is complete stays
	p.start()
	r, err := to.Blobs().Read(context.Background(), id, 0, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d are right: %v", len(got), len(content), err)
	}
}
