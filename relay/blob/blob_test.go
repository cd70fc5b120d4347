package blob_test

import (
	"testing"

	"go.uber.org/goleak"

	"schakel/relay/blob"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	id     = "00000000000000000000000000000000000000000000000000000000000000ff"
	device = "01935c00-0000-7000-8000-000000000002"
)

// What is read of a name is written the same way: no object is taken for another.
func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"uploads/vt20/crisis/" + device + "/" + id + ".4096", "uploads/vt20/crisis/" + device + "/" + id + ".4096.whole",
		"holds/" + id + "/pol-mn/zeden/vt20/crisis/" + device + ".4096",
		"parts/" + id + "/" + device + "/0000000000000000.4096.0123456789abcdef",
		"done/vt20/crisis/" + device + "/" + id + ".1764590400", "done/vt20/crisis/" + device + "/" + id + ".01",
		"uploads/../../etc/passwd", "holds/" + id + "/../x/vt20/crisis/" + device + ".1", "parts/" + id + "/" + device + "/ffffffffffffffff.4294967297.0123456789abcdef",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for what, again := range blob.Reread(name) {
			if again != name {
				t.Errorf("%s %q is written as %q", what, name, again)
			}
		}
	})
}

func TestNamesRefused(t *testing.T) {
	for _, name := range []string{
		"", "uploads/", "uploads/vt20/crisis/" + device + "/" + id, "uploads/vt20/crisis/" + device + "/" + id + ".04096",
		"uploads/VT20/crisis/" + device + "/" + id + ".1", "uploads/vt20/crisis/x/" + id + ".1", "uploads/vt20/crisis/" + device + "/../x.1",
		"uploads/vt20/crisis/" + device + "/" + id + ".4294967297", "parts/" + id + "/" + device + "/0.1.0123456789abcdef",
		"parts/" + id + "/" + device + "/0000000000000000.0.0123456789abcdef", "parts/" + id + "/" + device + "/000000000000000F.1.0123456789abcdef",
		"done/vt20/crisis/" + device + "/" + id, "done/vt20/crisis/" + device + "/" + id + ".-1", "done/vt20/crisis/x/" + id + ".1",
		"holds/" + id + "/pol-mn/zeden/" + device + ".1", "holds/" + id + "/pol-mn/zeden/vt20/crisis/" + device,
	} {
		if got := blob.Reread(name); len(got) > 0 {
			t.Errorf("%q is read as %v", name, got)
		}
	}
}

// Records have one spelling, and what they claim is bounded.
func FuzzRecords(f *testing.F) {
	for _, text := range []string{
		`{"at":1,"desks":["vt20/crisis"]}`, `{"until":1,"parts":["0000000000000000.4096.0123456789abcdef"]}`,
		`{"until":1,"parts":["../../x"]}`, `{"at":1,"desks":[],"x":1}`, `{"at":1e9,"desks":null}`, ` {"at":1,"desks":[]}`, `{"AT":1,"desks":[]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		again, ok := blob.RereadRecord(raw)
		if ok && string(again) != string(raw) {
			t.Errorf("%q is written as %q", raw, again)
		}
	})
}
