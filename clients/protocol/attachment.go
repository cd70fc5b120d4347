package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"schakel/crypto/message"
)

// RuleAttachments is what a refusal names where body and message do not speak of the
// same files.
const RuleAttachments = "bijlagen"

// AttachedFile is how a body describes a file that travels beside the message: a bijlage.
type AttachedFile struct {
	Name      string `json:"naam"`
	MediaType string `json:"mediatype"`
	Bytes     uint64 `json:"bytes"`
	SHA256    string `json:"sha256"` // of the content: sha256: and 64 hexadecimal digits
}

// AttachmentField is the field of a class that describes files.
type AttachmentField struct {
	Name       string
	Many       bool     // it takes a list
	MediaTypes []string // that may be sent
}

// refBijlage is how the schemas refer to the description of a file.
const refBijlage = "#/$defs/bijlage"

// AttachmentField returns the field of a class that describes files, or false where the
// class carries none. It is read from the schema, like everything that forms show.
func (c Class) AttachmentField() (f AttachmentField, ok bool) {
	var s struct {
		Properties map[string]struct {
			Ref   string `json:"$ref"`
			Items struct {
				Ref string `json:"$ref"`
			} `json:"items"`
		} `json:"properties"`
		Defs struct {
			Bijlage struct {
				Properties struct {
					MediaType struct {
						Enum []string `json:"enum"`
					} `json:"mediatype"`
				} `json:"properties"`
			} `json:"bijlage"`
		} `json:"$defs"`
	}
	if json.Unmarshal(c.source, &s) != nil {
		return f, false
	}
	for name, p := range s.Properties {
		if (p.Ref == refBijlage || p.Items.Ref == refBijlage) && (!ok || name < f.Name) {
			f, ok = AttachmentField{Name: name, Many: p.Items.Ref == refBijlage, MediaTypes: s.Defs.Bijlage.Properties.MediaType.Enum}, true
		}
	}
	return f, ok
}

// WithFiles returns a body that describes files, in their order, beside what it says
// already. A body that describes other files, or of a class that carries none, is refused:
// what is described is attached, and the other way round.
func (c *Catalogue) WithFiles(class string, body []byte, files []AttachedFile) ([]byte, error) {
	k, _ := c.Class(class)
	field, ok := k.AttachmentField()
	if len(files) == 0 {
		return body, nil
	}
	if !ok || !field.Many && len(files) > 1 {
		return nil, noFiles(class, len(files))
	}
	parsed, refusal := parseBody(body)
	if refusal != nil {
		return nil, refusal
	}
	if child(parsed, field.Name) != nil {
		if described := filesIn(k, parsed); !slices.Equal(described, files) {
			return nil, otherFiles()
		}
		return body, nil
	}
	var v any = files
	if !field.Many {
		v = files[0]
	}
	described, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return appendField(body, field.Name, described), nil
}

// appendField writes a field at the end of a JSON object that does not have it, and leaves
// every other byte as it is.
func appendField(body []byte, name string, value []byte) []byte {
	end := strings.LastIndexByte(string(body), '}')
	before := strings.TrimRight(string(body[:end]), " \t\r\n")
	comma := ","
	if strings.HasSuffix(before, "{") && strings.TrimSpace(before) == "{" {
		comma = ""
	}
	return fmt.Appendf(nil, "%s%s%q:%s}", before, comma, name, value)
}

// FilesIn returns the files that a body of this class describes, in order.
func (c *Catalogue) FilesIn(class string, body []byte) []AttachedFile {
	k, ok := c.Class(class)
	parsed, refusal := parseBody(body)
	if !ok || refusal != nil {
		return nil
	}
	return filesIn(k, parsed)
}

func filesIn(class Class, body any) (out []AttachedFile) {
	carried, ok := class.AttachmentField()
	if !ok {
		return nil
	}
	described := []any{child(body, carried.Name)}
	if list, many := described[0].([]any); many {
		described = list
	}
	for _, one := range described {
		if _, isFile := one.(map[string]any); !isFile {
			continue
		}
		n, _ := child(one, "bytes").(json.Number)
		size, _ := n.Int64()
		out = append(out, AttachedFile{Name: field(one, "naam"), MediaType: field(one, "mediatype"), Bytes: uint64(max(size, 0)), SHA256: field(one, "sha256")})
	}
	return out
}

// checkAttachments: the files that the body describes, which a person signs for and reads,
// are those that travel, one to one and in order. A file that nobody described would reach
// people unseen; a description without a file promises what never comes. That the content
// has the stated SHA-256 is found out where it is opened.
func checkAttachments(class Class, d Draft, body any) *Refusal {
	described := filesIn(class, body)
	if len(described) != len(d.Attachments) {
		return otherFiles()
	}
	for i, a := range d.Attachments {
		if f := described[i]; f.Name != a.Name || f.MediaType != a.MediaType || f.Bytes != a.Size {
			return otherFiles()
		}
	}
	return nil
}

func otherFiles() *Refusal {
	return refuse(RuleAttachments,
		Text{"de inhoud beschrijft andere bestanden dan er meegaan", "the body describes other files than those that travel with it"},
		Text{"voeg de bestanden toe met schakel send --attach, en vul de velden van de bijlagen niet zelf in",
			"attach the files with schakel send --attach, and leave the fields of the attachments to Schakel"})
}

func noFiles(class string, n int) *Refusal {
	return refuse(RuleAttachments,
		Text{fmt.Sprintf("%.40s kan geen %d bestanden meenemen", class, n), fmt.Sprintf("%.40s cannot carry %d files", class, n)},
		Text{"stuur het bestand mee met een klasse die bijlagen heeft, zoals melding of informatieantwoord",
			"send the file with a class that has attachments, such as melding or informatieantwoord"})
}

// attachedTo is what DraftOf takes over of a message's attachments: never their secrets.
func attachedTo(m message.Message) (out []message.Attachment) {
	for _, a := range m.Attachments {
		a.Identity = ""
		out = append(out, a)
	}
	return out
}
