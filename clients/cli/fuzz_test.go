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
