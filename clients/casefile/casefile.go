// Package casefile makes the file of a case that leaves Schakel, and verifies one on a
// machine without network, without a store and without us.
//
// [Write] makes one archive: every signed original byte for byte, the register that
// says whose keys those are, the agreement that they were judged by, what the desk
// itself noted, two readable pages, and a manifest over all of it that the exporting
// device signs, and a person where one was asked. [Verify] believes nothing of it: it
// replays the register, verifies each signature, runs the rules again over the whole
// history, and says what is missing. docs/casefile.md has every format, so that a
// stranger can verify a file with other tools.
//
// The package is pure: it reads no clock, network or disk, and holds no secrets.
package casefile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"schakel/crypto/identity"
	"schakel/crypto/message"
	"schakel/crypto/trust"
)

// ErrTooLarge says that a case does not fit into one file.
var ErrTooLarge = errors.New("too large for one case file")

// MaxMessages bounds the originals of one file.
const MaxMessages = 10_000

// Dossier is what a case file is made of.
type Dossier struct {
	Case       message.CaseRef
	Desk       identity.DeskID
	Device     identity.DeviceID
	Person     identity.PersonID // zero: no person signs
	Made       time.Time
	Messages   [][]byte // permanent bytes
	Statements [][]byte // of other desks about those messages: delivery.Evidence, encoded
	Promises   [][]byte // of the relay: Promise, encoded
	Anchors    [][]byte // of those messages: Anchored, encoded
	Entries    [][]byte // the whole register, the genesis first
	Checkpoint []byte   // that the log signed over it; empty while there was none
	Agreement  []byte
	Record     Record

	Attachments []Content // of those messages, as far as they are here
}

// Write makes the archive of a dossier, signed by device and, where the dossier names
// one, person. It returns what Verify says of it: the file of a case is written even
// when something in the case does not verify, and then it says so.
func Write(w io.Writer, d Dossier, device, person trust.Signer) (Report, error) {
	files, err := d.files()
	if err != nil {
		return Report{}, err
	}
	m := d.manifest()
	r := read(contentsOf(files), attachedIn(files), m, Options{})
	m.Protocol, m.Agreement = r.agreed().Protocol(), hashOf(d.Agreement)
	if r.register != nil {
		m.RegisterSize, m.RegisterRoot = r.register.Size(), r.register.Root()
	}
	r.manifest = m
	files = append(files, File{Name: namePage, Raw: r.page(dutch)}, File{Name: namePageEN, Raw: r.page(english)})
	inPlace(files)
	if m.Files, err = listed(files); err != nil {
		return Report{}, err
	}
	raw := m.encode()
	signatures, err := sign(m, raw, device, person)
	if err != nil {
		return Report{}, err
	}
	files = append([]File{{Name: nameManifest, Raw: raw}, {Name: nameSignatures, Raw: signatures}}, files...)
	if err := writeArchive(w, files); err != nil {
		return Report{}, fmt.Errorf("failed to write the case file: %w", err)
	}
	return verifyFiles(files, Options{}), nil
}

// files are those that come from elsewhere: all but the pages, the manifest and its signatures.
func (d Dossier) files() ([]File, error) {
	if len(d.Messages) > MaxMessages {
		return nil, fmt.Errorf("%w: %d messages, at most %d", ErrTooLarge, len(d.Messages), MaxMessages)
	}
	statements, left := fitting(d.Statements)
	promises, more := fitting(d.Promises)
	anchors, rest := fitting(d.Anchors)
	d.Record.LeftOut += left + more + rest
	record, err := d.Record.encode()
	if err != nil {
		return nil, err
	}
	files := []File{{Name: nameReadMe, Raw: []byte(readMe)}, {Name: nameRecord, Raw: record}, {Name: nameAgreement, Raw: d.Agreement},
		{Name: nameCheckpoint, Raw: d.Checkpoint}}
	for _, raw := range d.Messages {
		s, err := message.Parse(raw)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Name: messageFile(s.Hash()), Raw: raw})
	}
	for _, raw := range statements {
		files = append(files, File{Name: proofFile(folderStatements, raw), Raw: raw})
	}
	for _, raw := range promises {
		files = append(files, File{Name: proofFile(folderCustody, raw), Raw: raw})
	}
	for _, raw := range anchors {
		files = append(files, File{Name: proofFile(folderAnchors, raw), Raw: raw})
	}
	return append(append(files, registerFiles(d.Entries)...), attachmentFiles(d.Attachments)...), nil
}

func messageFile(h message.Hash) string { return folderMessages + h.String() + ".cose" }

func inPlace(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(place(a.Name), place(b.Name)) })
}

// entriesPerFile keeps each file of register entries within trust.MaxEntriesFile.
const entriesPerFile = 1000

// registerFiles are the entries in the format in which root holders keep them.
func registerFiles(entries [][]byte) (files []File) {
	for piece := range slices.Chunk(entries, entriesPerFile) {
		name := fmt.Sprintf("%s%04d.txt", folderEntries, len(files)+1)
		files = append(files, File{Name: name, Raw: trust.FormatEntries("register van Schakel, deel "+name[len(folderEntries):len(folderEntries)+4], piece)})
	}
	return files
}
