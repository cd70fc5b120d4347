//go:build linux

package folder_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/blob/blobtest"
	"schakel/relay/queue/queuetest/disktest"
	"schakel/relay/wire"
)

// roomy is a folder that says that there is always room: so the disk itself runs full.
type roomy struct{ blob.Store }

// Free lies.
func (roomy) Free(context.Context) (int64, error) { return math.MaxInt64, nil }

// On a full disk no part is answered for that is not there, what was answered for stays,
// and with room the upload goes on where it was. With min-free the disk is never full.
func TestFullDisk(t *testing.T) {
	disk, ctx := disktest.Tmpfs(t, 3<<20), context.Background()
	store := openIn(t, disk.Path("blobs"))
	by := blob.Owner{Device: identity.DeviceID{1}, Desk: "vt20/crisis"}
	to := blob.Owner{Device: identity.DeviceID{2}, Desk: "pol-mn/zeden"}
	careful := blob.New(blob.Config{Store: store, MinFree: 1 << 20})
	blind := blob.New(blob.Config{Store: roomy{store}, MinFree: 1})
	upload := func(k *blob.Keeper, content []byte, id wire.BlobID, offset int64) (int64, error) {
		for offset < int64(len(content)) {
			size := min(wire.MinBlobPart, int64(len(content))-offset)
			state, err := k.Append(ctx, by, id, wire.BlobPart{
				Offset: offset, Length: int64(len(content)), Desks: []identity.DeskID{to.Desk}, Body: bytes.NewReader(content[offset : offset+size]), Size: size,
			})
			if err != nil {
				return offset, err
			}
			offset = state.Offset
		}
		return offset, nil
	}
	first, firstID := blobtest.Content(3 << 19)
	if _, err := upload(careful, first, firstID, 0); err != nil {
		t.Fatal(err)
	}
	second, secondID := blobtest.Content(2 << 20)
	if n, err := upload(careful, second, secondID, 0); !errors.Is(err, blob.ErrFull) || n != 0 {
		t.Errorf("below min-free: %d bytes were taken: %v", n, err)
	}
	taken, err := upload(blind, second, secondID, 0)
	if !errors.Is(err, blob.ErrFull) {
		t.Fatalf("control: the disk did not run full: %v", err)
	}
	if taken == 0 {
		t.Fatal("control: nothing was taken before the disk was full")
	}
	state, err := blind.State(ctx, by, secondID)
	if err != nil || state.Offset != taken || state.Complete {
		t.Errorf("%d bytes were answered for, and the state is %+v: %v", taken, state, err)
	}
	for _, who := range []blob.Owner{by, to} {
		if err := blind.Drop(ctx, who, firstID); err != nil {
			t.Fatal("room cannot be made on a full disk:", err)
		}
	}
	if _, err := upload(blind, second, secondID, state.Offset); err != nil {
		t.Fatal("with room again:", err)
	}
	r, err := blind.Open(ctx, to, secondID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, second) {
		t.Errorf("%d bytes are right: %v", len(got), err)
	}
}
