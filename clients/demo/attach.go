package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/protocol"
	"schakel/clients/schakel"
)

// page is a fictional document, long enough to travel as one.
var page = "%PDF-1.4\n% Fictief document van de demonstratie. Er staat niets in.\n" + strings.Repeat("%\n", 10_000) + "%%EOF\n"

// Attach has a desk attach what the body of an example describes, such as a judge's
// decision: the example only names a file, here is one. A body that describes none stays
// as it is.
func Attach(ctx context.Context, from desk.Node, d *schakel.Draft) error {
	class, _ := protocol.V1().Class(d.Class)
	field, ok := class.AttachmentField()
	var body map[string]json.RawMessage
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return fmt.Errorf("failed to read the body: %w", err)
	}
	if !ok || body[field.Name] == nil || field.Many {
		return nil
	}
	var described protocol.AttachedFile
	if err := json.Unmarshal(body[field.Name], &described); err != nil {
		return fmt.Errorf("failed to read the body: %w", err)
	}
	file, err := from.Attach(ctx, described.Name, "application/pdf", strings.NewReader(page))
	if err != nil {
		return err
	}
	delete(body, field.Name)
	bare, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("failed to write the body: %w", err)
	}
	d.Attachments = []string{file.ID}
	d.Body, err = protocol.V1().WithFiles(d.Class, bare, []protocol.AttachedFile{file.AttachedFile})
	return err
}
