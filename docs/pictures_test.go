package docs_test

import (
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxPicture is how large a picture may be: pages of the desk, as outlines.
const maxPicture = 150 << 10

// faultsOf says what a picture must not have: what runs, what asks for something
// elsewhere, what is no drawing, and text that a reader's font would decide about.
func faultsOf(svg []byte) (wrong []string) {
	if len(svg) > maxPicture {
		wrong = append(wrong, fmt.Sprintf("%d kB, at most %d", len(svg)>>10, maxPicture>>10))
	}
	shapes := []string{"svg", "defs", "g", "symbol", "path", "use", "clipPath", "mask", "rect", "linearGradient", "radialGradient", "stop"}
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return wrong
		}
		if err != nil {
			return append(wrong, err.Error())
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if !slices.Contains(shapes, tok.Name.Local) {
				wrong = append(wrong, "element "+tok.Name.Local)
			}
			for _, a := range tok.Attr {
				reaches := a.Name.Local == "href" && !strings.HasPrefix(a.Value, "#") || strings.Contains(strings.ReplaceAll(a.Value, "url(#", ""), "url(")
				if reaches || strings.HasPrefix(a.Name.Local, "on") {
					wrong = append(wrong, fmt.Sprintf("%s=%q", a.Name.Local, a.Value))
				}
			}
		case xml.CharData:
			if s := strings.TrimSpace(string(tok)); s != "" {
				wrong = append(wrong, "text: "+s)
			}
		case xml.ProcInst, xml.Directive:
			wrong = append(wrong, "an instruction or a document type")
		}
	}
}

// TestPictures: each picture is a drawing and no more, and stands on the page of the desk
// with words that say what is to be seen. What they show is the demonstration, which is
// fictional: nothing else makes them.
func TestPictures(t *testing.T) {
	all, err := filepath.Glob("pictures/*.svg")
	if err != nil || len(all) < 6 {
		t.Fatalf("%d pictures: %v", len(all), err)
	}
	page, err := os.ReadFile("desk.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, m := range regexp.MustCompile(`!\[([^\]]*)\]\((pictures/[^)]+)\)`).FindAllStringSubmatch(string(page), -1) {
		shown[m[2]] = m[1]
	}
	for _, path := range all {
		svg, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range faultsOf(svg) {
			t.Errorf("%s: %s", path, w)
		}
		if len(shown[path]) < 60 {
			t.Errorf("%s: docs/desk.md says %q of it, too little for who does not see it", path, shown[path])
		}
		delete(shown, path)
	}
	for path := range shown {
		t.Errorf("docs/desk.md shows %s, which is not there", path)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil || !strings.Contains(string(readme), "](docs/pictures/") {
		t.Errorf("README.md shows no picture: %v", err)
	}
}

// TestPicturesAreOfThesePages: a page that says something else than when its picture was made
// has an old picture. What pages say is what a voice reads out of them, which is in files.
func TestPicturesAreOfThesePages(t *testing.T) {
	made, err := os.ReadFile("pictures/made.txt")
	if err != nil {
		t.Fatal(err)
	}
	said := func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join("..", "cmd", "schakel", "browser", "testdata", "aria", name))
	}
	old, pictures := outdated(string(made), said)
	for _, name := range old {
		t.Errorf("pictures/%s is older than its page: make pictures", name)
	}
	all, err := filepath.Glob("pictures/*.svg")
	if err != nil || len(all) != pictures {
		t.Errorf("made.txt knows %d of %d pictures: %v", pictures, len(all), err)
	}
	changed := func(name string) ([]byte, error) {
		b, err := said(name)
		return append(b, "- button \"Nieuw\"\n"...), err
	}
	if old, _ := outdated(string(made), changed); len(old) != len(all) {
		t.Errorf("control: of pages that have another button %d are noticed", len(old))
	}
}

// outdated are the pictures whose page says something else than when they were made, among
// so many.
func outdated(made string, said func(name string) ([]byte, error)) (old []string, all int) {
	for line := range strings.Lines(made) {
		f := strings.Fields(line)
		all++
		if b, err := said(f[1]); err != nil || fmt.Sprintf("%x", sha256.Sum256(b)) != f[2] {
			old = append(old, f[0])
		}
	}
	return old, all
}

// The control: what a picture must not have is found.
func TestCrookedPictures(t *testing.T) {
	for name, inside := range map[string]string{
		"script":      `<script>alert(1)</script>`,
		"handler":     `<path onload="alert(1)"/>`,
		"image":       `<image href="#x"/>`,
		"elsewhere":   `<use href="https://kwaad.example/x.svg"/>`,
		"style":       `<path style="fill:url(https://kwaad.example/x)"/>`,
		"text":        `<g>Noor</g>`,
		"html":        `<foreignObject/>`,
		"not closed":  `<g>`,
		"too large":   `<path d="` + strings.Repeat("L1 1", maxPicture/4) + `"/>`,
		"instruction": `<?xml-stylesheet href="https://kwaad.example/x.css"?>`,
	} {
		if wrong := faultsOf([]byte(`<svg xmlns="http://www.w3.org/2000/svg">` + inside + `</svg>`)); len(wrong) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
	}
	if wrong := faultsOf([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><g clip-path="url(#c)"><use href="#g"/></g></svg>`)); len(wrong) > 0 {
		t.Errorf("a drawing: %v", wrong)
	}
}
