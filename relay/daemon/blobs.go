package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"schakel/relay/blob"
	"schakel/relay/blob/folder"
	"schakel/relay/blob/s3"
)

// dirBlobs is where attachments are unless blob-folder says otherwise.
const dirBlobs = "blobs"

// openBlobs opens the attachments where the settings say that they are; a nil keeper
// takes none.
func (a *app) openBlobs(ctx context.Context, log *slog.Logger) (keeper *blob.Keeper, shut func(), err error) {
	store, err := a.openBlobStore(ctx)
	if err != nil || store == nil {
		return nil, func() {}, err
	}
	if a.settings["store"] == "redis" && a.settings["blob-store"] == "folder" && a.settings["blob-folder"] == "" {
		log.Warn("attachments are in this machine's own folder: another relay of this Redis does not have them; set blob-folder or blob-store")
	}
	keeper = blob.New(blob.Config{
		Store: store, MaxBytes: a.settings.size("blob-max"), OrgBytes: a.settings.size("blob-org-bytes"),
		Uploads: a.settings.count("blob-uploads"), MinFree: a.settings.size("min-free"), Now: a.Now, Log: log,
	})
	return keeper, func() { _ = store.Close() }, nil
}

// closable is a store that this process opened.
type closable interface {
	blob.Store
	io.Closer
}

// openBlobStore returns nil where attachments are off.
func (a *app) openBlobStore(ctx context.Context) (closable, error) {
	switch a.settings["blob-store"] {
	case "off":
		return nil, nil
	case "s3":
		return a.openBucket(ctx)
	}
	store, err := folder.Open(a.blobFolder())
	if err != nil {
		return nil, err
	}
	return store, nil
}

func (a *app) blobFolder() string {
	if named := a.settings["blob-folder"]; named != "" {
		return named
	}
	return a.settings.path(dirBlobs)
}

func (a *app) openBucket(ctx context.Context) (closable, error) {
	c := s3.Config{
		Endpoint: a.settings["s3-endpoint"], Region: a.settings["s3-region"], Bucket: a.settings["s3-bucket"],
		Key: a.settings["s3-key"], Secret: passwordIn(a.settings["s3-secret-file"]),
	}
	if file := a.settings["s3-ca"]; file != "" {
		pem, err := os.ReadFile(file)
		c.Roots = x509.NewCertPool()
		if err != nil || !c.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: s3-ca: no certificates in %s", errConfig, file)
		}
	}
	store, err := s3.Open(ctx, c)
	if errors.Is(err, s3.ErrConfig) {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	if err != nil {
		return nil, err
	}
	return store, nil
}

// checkBlobs writes, reads and removes an object, and counts what lies there. It does
// so while the relay runs, too: stores are for several.
func (a *app) checkBlobs(ctx context.Context) finding {
	const name = "attachments"
	if a.settings["blob-store"] == "off" {
		return finding{name: name, result: "off: this relay takes none", ok: true}
	}
	store, err := a.openBlobStore(ctx)
	if err != nil {
		return result(name, err, "", "see docs/operations.md, Attachments")
	}
	defer store.Close()
	var n blob.Usage
	if err = blob.Probe(ctx, store); err == nil {
		n, err = blob.Count(ctx, store)
	}
	free := ""
	if n.Free != blob.Unknown {
		least := a.settings.size("min-free")
		free = fmt.Sprintf(", %d MiB free", n.Free>>20)
		if err == nil && n.Free < 2*least {
			err = fmt.Errorf("%d MiB free; below %d MiB attachments are refused", n.Free>>20, least>>20)
		}
	}
	return result(name, err, fmt.Sprintf("%d complete, %d not, %d MiB%s", n.Complete, n.Unfinished, n.Bytes>>20, free), "see docs/operations.md, Attachments")
}
