package folder_test

import (
	"bytes"
	"context"
	"testing"

	"schakel/crypto/identity"
	"schakel/relay/blob"
	"schakel/relay/blob/blobtest"
	"schakel/relay/blob/folder"
	"schakel/relay/wire"
)

// BenchmarkUpload: a blob of 128 MiB in the parts that devices send, to its verified end.
func BenchmarkUpload(b *testing.B) {
	ctx := context.Background()
	content, id := blobtest.Content(128 << 20)
	by := blob.Owner{Device: identity.DeviceID{1}, Desk: "vt20/crisis"}
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		s, err := folderOpen(b)
		if err != nil {
			b.Fatal(err)
		}
		k := blob.New(blob.Config{Store: s, MinFree: 1})
		for offset := int64(0); offset < int64(len(content)); {
			size := min(wire.MaxBlobPart/2, int64(len(content))-offset)
			state, err := k.Append(ctx, by, id, wire.BlobPart{Offset: offset, Length: int64(len(content)), Desks: []identity.DeskID{"pol-mn/zeden"}, Body: bytes.NewReader(content[offset : offset+size]), Size: size})
			if err != nil {
				b.Fatal(err)
			}
			offset = state.Offset
		}
		_ = s.Close()
	}
}

func folderOpen(b *testing.B) (*folder.Store, error) { return folder.Open(b.TempDir()) }
