package cli_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"schakel/clients/cli"
	"schakel/clients/protocol"
)

// FuzzOutline gives `schakel read` any body: it shows it, and lets nothing through
// that a terminal acts on.
func FuzzOutline(f *testing.F) {
	for _, c := range protocol.V1().Classes() {
		e, err := protocol.V1().Example(c.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(e.Body))
	}
	f.Add([]byte(hostile))
	f.Add([]byte(`{"a":[{"b":[1,[2,{"c":null}]]}],"veiligContact":"x\u001b"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		shown := cli.Outline(body)
		if found := acting(shown); len(found) > 0 {
			t.Errorf("lets %q through", found)
		}
		if !utf8.ValidString(shown) {
			t.Error("not UTF-8")
		}
	})
}

// FuzzInertJSON shows that the escapes change the spelling of a document and never
// its meaning.
func FuzzInertJSON(f *testing.F) {
	f.Add(hostile)
	f.Add("😀")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := json.Marshal(map[string]string{"text": text, text: "key"})
		if err != nil {
			t.Skip()
		}
		safe := cli.InertJSON(b)
		if found := acting(string(safe)); len(found) > 0 {
			t.Errorf("lets %q through", found)
		}
		var was, is map[string]string
		if json.Unmarshal(b, &was) != nil || json.Unmarshal(safe, &is) != nil || !reflect.DeepEqual(was, is) {
			t.Errorf("means something else: %s, %s", b, safe)
		}
	})
}

// FuzzFormValues gives --from-file any file: what makes a body of a class makes the same
// body when that body is read as values again.
func FuzzFormValues(f *testing.F) {
	for _, c := range protocol.V1().Classes() {
		e, err := protocol.V1().Example(c.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("x.json", c.Name, []byte(e.Body))
	}
	f.Add("x.toml", "contactverzoek", []byte(callBackTOML))
	f.Add("-", "contactverzoek", []byte(callBackTOML))
	f.Fuzz(func(t *testing.T, path, class string, raw []byte) {
		v, err := cli.FormValues(path, raw)
		if err != nil {
			return
		}
		body, err := protocol.V1().Compose(class, v)
		if err != nil {
			return
		}
		again, err := cli.FormValues("x.json", body)
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if same, err := protocol.V1().Compose(class, again); err != nil || string(same) != string(body) {
			t.Errorf("%v: %s became %s", err, body, same)
		}
	})
}

// FuzzTyped gives a question any answer: what was understood is understood as the same
// when it is typed again.
func FuzzTyped(f *testing.F) {
	kinds := []protocol.Kind{protocol.KindText, protocol.KindNumber, protocol.KindYesNo, protocol.KindConfirm, protocol.KindDate, protocol.KindInstant,
		protocol.KindCountry, protocol.KindTelephone, protocol.KindBSN}
	for i, typed := range []string{"x", "7", "j", "ja", "24-11-2026", "2026-11-24 15:00", "nl", "06-00000004", "999999990"} {
		f.Add(uint8(i), typed)
	}
	f.Fuzz(func(t *testing.T, kind uint8, typed string) {
		field := protocol.Field{Kind: kinds[int(kind)%len(kinds)]}
		v, ok := cli.Reads(field, typed)
		if !ok {
			return
		}
		if again, ok := cli.Reads(field, v); !ok || again != v {
			t.Errorf("%s: %q is %q, and that is %q", field.Kind, typed, v, again)
		}
	})
}
