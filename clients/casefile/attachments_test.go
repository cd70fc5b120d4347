package casefile_test

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"schakel/clients/casefile"
	"schakel/crypto/message"
)

const hostileName = "../../<script>alert(1)</script>\u202egpj.exe"

// letterWith adds a message with one attachment to a story, and its content where it is here.
func letterWith(t testing.TB, w *world, content []byte) (name string) {
	t.Helper()
	sum := sha256.Sum256(content)
	text := fmt.Sprintf(`{"advies":"?","bijlagen":[{"naam":%q,"mediatype":"application/pdf","bytes":%d,"sha256":"sha256:%x"}]}`, hostileName, len(content), sum)
	w.say(t, w.doctor, "advies", message.Routine, text, func(m *message.Message) {
		m.Attachments = []message.Attachment{{Blob: sum, Digest: sum, Size: uint64(len(content)), Identity: "AGE-SECRET-KEY-PQ-1" + strings.Repeat("Q", 58),
			Name: hostileName, MediaType: "application/pdf"}}
	}, "vt20/crisis")
	w.dossier.Attachments = []casefile.Content{{Digest: sum, MediaType: "application/pdf", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}}
	return fmt.Sprintf("bijlagen/%x.pdf", sum)
}

// What was attached is in the file as it was, under a name from its hash, and anybody can
// compare it with what the sender signed.
func TestAttachmentsAreInTheFile(t *testing.T) {
	w := story(t)
	content := bytes.Repeat([]byte("paspoort"), 1<<16)
	name := letterWith(t, w, content)
	raw := w.finish(t, true)
	r := casefile.Verify(raw, w.told())
	if got := r.Messages[2].Attachments; !r.Sound || !r.Complete || !r.PagesCompared || len(r.Absent) != 0 || len(got) != 1 || got[0].File != name {
		t.Fatalf("sound %v, complete %v, %+v: %s", r.Sound, r.Complete, got, faults(r))
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	ok(t, err)
	f, err := z.Open(name)
	ok(t, err)
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, content) {
		t.Error("another content", err)
	}
	for _, f := range z.File {
		if strings.Contains(f.Name, "..") || strings.Contains(f.Name, "script") {
			t.Errorf("a name that its sender gave: %q", f.Name)
		}
	}
	for _, page := range []string{"dossier.html", "dossier.en.html"} {
		if s := string(unpack(t, raw)[page]); strings.Contains(s, "<script") || strings.Contains(s, "\u202e") || !strings.Contains(s, name) {
			t.Errorf("%s is not inert, or does not name the file", page)
		}
	}
	if again := w.finish(t, true); !bytes.Equal(raw, again) {
		t.Error("the same dossier gives another archive")
	}
}

// What is not there is said, and keeps nothing else out.
func TestMissingAttachment(t *testing.T) {
	for what, open := range map[string]func() (io.ReadCloser, error){
		"not here":       func() (io.ReadCloser, error) { return nil, errors.New("not here") },
		"another one":    func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("another")), nil },
		"cannot be read": func() (io.ReadCloser, error) { return io.NopCloser(broken{}), nil },
	} {
		w := story(t)
		letterWith(t, w, []byte("paspoort"))
		w.dossier.Attachments[0].Open = open
		raw := w.finish(t, false)
		r := casefile.Verify(raw, w.told())
		if !r.Sound || r.Complete || len(r.Absent) != 1 || r.Absent[0].Name != hostileName || r.Messages[2].Attachments[0].File != "" {
			t.Errorf("%s: sound %v, complete %v, absent %+v: %s", what, r.Sound, r.Complete, r.Absent, faults(r))
		}
		if !strings.Contains(string(unpack(t, raw)["dossier.html"]), "ontbreekt: dit bureau") {
			t.Errorf("%s: the page does not say it", what)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }

// A file that changes while it is written spoils the archive, and is no quiet success.
func TestAttachmentThatChanges(t *testing.T) {
	w := story(t)
	letterWith(t, w, []byte("paspoort"))
	opened := 0
	w.dossier.Attachments[0].Open = func() (io.ReadCloser, error) {
		if opened++; opened > 1 {
			return io.NopCloser(strings.NewReader("pas")), nil
		}
		return io.NopCloser(strings.NewReader("paspoort")), nil
	}
	w.dossier.Entries = w.chain.Entries()
	if _, err := casefile.Write(io.Discard, w.dossier, w.vt.Sign, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("written all the same: %v", err)
	}
}

// Who makes the file cannot put another content in the place of the one that was signed,
// nor one beside it that nobody sent. The control has the true one.
func TestMakerCannotSwapAttachments(t *testing.T) {
	w := story(t)
	name := letterWith(t, w, []byte("paspoort"))
	raw := w.finish(t, false)
	other := fmt.Sprintf("bijlagen/%x.pdf", sha256.Sum256([]byte("rijbewijs")))
	for what, c := range map[string]struct {
		change func(map[string][]byte)
		fault  string
	}{
		"swapped": {func(f map[string][]byte) { f[name] = []byte("rijbewijs") }, "onleesbaar " + name},
		"beside":  {func(f map[string][]byte) { f[other] = []byte("rijbewijs"); list(f, other) }, "onleesbaar " + other},
		"true":    {func(map[string][]byte) {}, ""},
	} {
		r := casefile.Verify(rebuilt(t, w, unpack(t, raw), c.change), w.told())
		if r.Sound != (c.fault == "") || !strings.Contains(faults(r), c.fault) {
			t.Errorf("%s: sound %v: %s", what, r.Sound, faults(r))
		}
	}
}

// list adds a line for a file to the manifest; it must be the first by its name but for capitals.
func list(files map[string][]byte, name string) {
	manifest := string(files["manifest.txt"])
	at := strings.Index(manifest, "berichten/")
	at = strings.LastIndex(manifest[:at], "bestand ")
	for _, l := range strings.SplitAfter(manifest[at:], "\n") {
		if words := strings.Fields(l); len(words) == 4 && words[3] > name {
			break
		}
		at += len(l)
	}
	files["manifest.txt"] = []byte(manifest[:at] + "bestand " + strings.Repeat("0", 64) + " 0 " + name + "\n" + manifest[at:])
}

// Files that were made before there were attachments verify as they did.
func TestFirstFormatVerifies(t *testing.T) {
	w := story(t)
	files := unpack(t, w.finish(t, false))
	manifest := strings.Replace(string(files["manifest.txt"]), "schakel/zaakdossier/2\n", "schakel/zaakdossier/1\n", 1)
	for head, sound := range map[string]bool{"1": true, "2": false} {
		files["manifest.txt"] = []byte(manifest)
		sig := ed25519.Sign(w.vt.Sign.Private, files["manifest.txt"])
		files["handtekeningen.txt"] = []byte("schakel/zaakdossier/" + head + "/handtekeningen\napparaat " + base64.StdEncoding.EncodeToString(sig) + "\n")
		if r := casefile.Verify(zipped(files), w.told()); r.Sound != sound {
			t.Errorf("signatures of format %s: sound %v: %s", head, r.Sound, faults(r))
		}
	}
}

// pieces refuses to hand out much at once.
type pieces struct {
	*bytes.Reader
	most int
}

func (p *pieces) ReadAt(b []byte, at int64) (int, error) {
	p.most = max(p.most, len(b))
	return p.Reader.ReadAt(b, at)
}

// What was attached need not fit into memory: it is read in pieces. The control is that
// the rest is read whole.
func TestAttachmentsAreReadInPieces(t *testing.T) {
	w := story(t)
	letterWith(t, w, make([]byte, 8<<20))
	raw := w.finish(t, false)
	p := &pieces{Reader: bytes.NewReader(raw)}
	if r := casefile.VerifyFrom(p, int64(len(raw)), w.told()); !r.Sound || !r.Complete || p.most >= 1<<20 || p.most < 10_000 {
		t.Errorf("sound %v, complete %v, %d bytes at once: %s", r.Sound, r.Complete, p.most, faults(r))
	}
}
