package message_test

import (
	"errors"
	"strings"
	"testing"

	"schakel/crypto/message"
)

// attachment is the n-th honest one.
func attachment(n byte) message.Attachment {
	const letters = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
	return message.Attachment{Blob: [32]byte{n}, Digest: [32]byte{n}, Size: 5, Name: "brief.pdf", MediaType: "application/pdf",
		Identity: "AGE-SECRET-KEY-PQ-1" + strings.Repeat("Q", 57) + letters[n:n+1]}
}

// TestRefusesAttachments: E07 and E09 begin here. Every bound has a value that just fits.
func TestRefusesAttachments(t *testing.T) {
	for name, change := range map[string]func(*message.Message, *message.Attachment){
		"E07 a name of 201 characters": func(_ *message.Message, a *message.Attachment) { a.Name = strings.Repeat("ë", 201) },
		"E07 no name":                  func(_ *message.Message, a *message.Attachment) { a.Name = "" },
		"E07 a name that is no text":   func(_ *message.Message, a *message.Attachment) { a.Name = "\xff" },
		"E09 an identity twice":        func(m *message.Message, a *message.Attachment) { a.Identity = m.Attachments[1].Identity },
		"E09 a blob twice": func(m *message.Message, a *message.Attachment) {
			a.Blob, a.Digest = m.Attachments[1].Blob, m.Attachments[1].Blob
		},
		"a blob that is not its digest": func(_ *message.Message, a *message.Attachment) { a.Blob[0]++ },
		"a blob of zeros":               func(_ *message.Message, a *message.Attachment) { a.Blob, a.Digest = [32]byte{}, [32]byte{} },
		"E08 too large":                 func(_ *message.Message, a *message.Attachment) { a.Size = message.MaxAttachment + 1 },
		"no identity":                   func(_ *message.Message, a *message.Attachment) { a.Identity = "" },
		"an identity of another kind": func(_ *message.Message, a *message.Attachment) {
			a.Identity = "AGE-SECRET-KEY-1" + strings.Repeat("Q", 58)
		},
		"an identity and something more": func(_ *message.Message, a *message.Attachment) { a.Identity += "\n" },
		"no media type":                  func(_ *message.Message, a *message.Attachment) { a.MediaType = "pdf" },
		"a media type with more":         func(_ *message.Message, a *message.Attachment) { a.MediaType = "text/html; charset=utf-8" },
		"a media type that is too long":  func(_ *message.Message, a *message.Attachment) { a.MediaType = "text/" + strings.Repeat("x", 96) },
	} {
		m := honest()
		change(&m, &m.Attachments[0])
		if _, _, err := m.ToBeSigned(); !errors.Is(err, message.ErrFormat) {
			t.Errorf("%s: built: %v", name, err)
		}
	}
	m := honest()
	m.Attachments[0].Name, m.Attachments[0].Size, m.Attachments[0].MediaType = strings.Repeat("ë", 200), message.MaxAttachment, "text/"+strings.Repeat("x", 95)
	if _, _, err := m.ToBeSigned(); err != nil {
		t.Errorf("what just fits: %v", err)
	}
}
