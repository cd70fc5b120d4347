package cli_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"schakel/clients/cli"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
	"schakel/crypto/seal"
)

// A file is saved whole, under a name that harms nothing, never over another, and not at
// all where its content is refused half way.
func TestAttachmentSave(t *testing.T) {
	p, folder := newPlace(t), t.TempDir()
	node := &scripted{}
	p.serve(node)
	out, _ := p.must(cli.Done, "attachment", "save", "4f1c", "2", "--out", folder)
	file := strings.TrimSpace(out)
	if got, err := os.ReadFile(file); err != nil || string(got) != "de inhoud\n" || filepath.Dir(file) != folder || !strings.HasSuffix(file, ".pdf") {
		t.Errorf("%q holds %q, %v", file, got, err)
	}
	p.must(cli.Conflict, "attachment", "save", "4f1c", "2", "--out", folder)
	p.must(cli.Done, "attachment", "save", "4f1c", "1", "--out", filepath.Join(folder, "foto"), "--anyway")
	if !slices.Contains(node.did, "save 1 anyway true") {
		t.Errorf("did %q", node.did)
	}
	p.must(cli.Usage, "attachment", "save", "4f1c")
	p.must(cli.Usage, "attachment", "save", "4f1c", "nul")
	p.must(cli.NotFound, "attachment", "save", "4f1c", "3")
	for err, want := range map[error]int{schakel.ErrNoAttachment: cli.NotFound, seal.ErrContent: cli.Unverified, schakel.ErrMediaType: cli.Refused, schakel.ErrNotHere: cli.Conflict} {
		if got := cli.Exit(err); got != want {
			t.Errorf("%v: exit code %d", err, got)
		}
	}
}

// E06: what came before a refusal is thrown away.
func TestE06NothingHalfIsSaved(t *testing.T) {
	p, folder := newPlace(t), t.TempDir()
	p.serve(halfSaved{&scripted{}})
	p.must(cli.Unverified, "attachment", "save", "4f1c", "1", "--out", folder)
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// halfSaved gives half a file and then refuses it.
type halfSaved struct{ *scripted }

func (halfSaved) SaveAttachment(_ context.Context, _ string, _ int, _ schakel.Saving, w io.Writer) (schakel.Attachment, error) {
	_, _ = io.WriteString(w, "de helft")
	return schakel.Attachment{}, seal.ErrContent
}

func TestAttachmentMoves(t *testing.T) {
	p := newPlace(t)
	node := &scripted{}
	p.serve(node)
	p.must(cli.Done, "attachment", "pause", "4f1c", "2")
	p.must(cli.Done, "attachment", "resume", "4f1c")
	p.must(cli.Done, "attachment", "fetch", "4f1c", "1") // it is here already
	_, stderr := p.must(cli.Queued, "attachment", "fetch", "4f1c", "2", "--wait", "100ms")
	if !strings.Contains(stderr, "2048 KiB of 5122 KiB") || !strings.Contains(stderr, "/s, 3s left") {
		t.Errorf("progress: %q", stderr)
	}
	if want := []string{"pause 4f1c 2", "resume 4f1c 0", "fetch 4f1c 1", "fetch 4f1c 2"}; !slices.Equal(node.did, want) {
		t.Errorf("did %q", node.did)
	}
}

// Files of a message are attached before it goes, and let go of where it does not.
func TestSendAttach(t *testing.T) {
	p, folder := newPlace(t), t.TempDir()
	node := &scripted{}
	p.serve(node)
	file, body := filepath.Join(folder, "brief.pdf"), filepath.Join(folder, "body.json")
	e, err := protocol.V1().Example("melding")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{file: "%PDF-1.7", body: string(e.Body)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"send", "--class", "melding", "--urgency", "spoed", "--to", "vt20/crisis", "--body", body, "--attach", file}
	_, stderr := p.must(cli.Done, args...)
	if len(node.drafts) == 0 || len(node.drafts[len(node.drafts)-1].Attachments) != 1 || !strings.Contains(stderr, "attachment list") {
		t.Errorf("sent %+v; %s", node.drafts, stderr)
	}
	node.sendErr = schakel.ErrLane
	p.must(cli.Refused, args...)
	if !slices.ContainsFunc(node.did, func(s string) bool { return strings.HasPrefix(s, "drop file ") }) {
		t.Errorf("did %q", node.did)
	}
	p.must(cli.NotFound, append(args, "--attach", filepath.Join(folder, "geen"))...)
}
