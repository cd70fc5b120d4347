package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

// attach seals the files that --attach names, which the message then takes along. They are
// dropped again where it does not go.
func (w *sending) attach(ctx context.Context) error {
	for _, path := range w.flags.attach {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("failed to open what is to be attached: %w", err)
		}
		file, err := w.session.Attach(ctx, filepath.Base(path), "", f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("failed to attach %s: %w", inertLine(path), err)
		}
		w.files = append(w.files, file)
		w.draft.Attachments = append(w.draft.Attachments, file.ID)
	}
	return nil
}

// detach lets go of the files of a message that does not go.
func (w *sending) detach(ctx context.Context) {
	for _, f := range w.files {
		_ = w.session.DropAttached(context.WithoutCancel(ctx), f.ID) // it goes by itself after its time
	}
}

// described has a form say which files go along.
func (w *sending) described(v protocol.Values) protocol.Values {
	class, _ := w.catalogue.Class(w.draft.Class)
	field, ok := class.AttachmentField()
	if !ok || len(w.files) == 0 {
		return v
	}
	var all []any
	for _, f := range w.files {
		all = append(all, protocol.Values{"naam": f.Name, "mediatype": f.MediaType, "bytes": int(f.Bytes), "sha256": f.SHA256})
	}
	if v == nil {
		v = protocol.Values{}
	}
	if v[field.Name] = any(all); !field.Many {
		v[field.Name] = all[0]
	}
	return v
}

// isFiles reports whether a field describes files: nobody types those.
func isFiles(f protocol.Field) bool {
	for _, x := range f.Fields {
		if x.Name == "sha256" && x.Kind == protocol.KindHash {
			return true
		}
	}
	return false
}

// followFiles waits for the relay to have the files as well, where no daemon goes on with
// them when this command ends.
func (a *app) followFiles(ctx context.Context, s *session, sent schakel.Sent, files []schakel.Attached, noWait bool) error {
	if len(files) == 0 || noWait {
		return nil
	}
	if s.daemon {
		a.sayf("%d files follow: see `schakel attachment list %s`", len(files), short(sent.Hash))
		return nil
	}
	return a.awaitFiles(ctx, s, sent.Hash, 0)
}
