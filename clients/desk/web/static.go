package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
)

// look holds what .ci/look made of the design system, where it was run before the build;
// see look/README.md.
//
//go:embed static look
var assetFiles embed.FS

// file is one thing that every page may ask for.
type file struct {
	body      []byte
	mediaType string
	tag       string
}

// The style sheets, in the order in which they count: the design system, or ours where
// it is not there; what is particular to this desk; the organisation's own.
const (
	styleSystem = "look.css"
	stylePlain  = "plain.css"
	styleDesk   = "desk.css"
	styleTheme  = "theme.css"
)

// mediaTypes of all that is served beside pages: nothing else is.
var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// staticFiles are the files by name. A name that is not in the map does not exist: there
// is no folder to climb out of.
func staticFiles(cfg Config) map[string]file {
	all := map[string]file{}
	add := func(name string, body []byte) {
		if kind, ok := mediaTypes[path.Ext(name)]; ok {
			sum := sha256.Sum256(body)
			all[name] = file{body, kind, `"` + hex.EncodeToString(sum[:8]) + `"`}
		}
	}
	for _, folder := range []string{"static", "look"} {
		entries, _ := fs.ReadDir(assetFiles, folder) // embedded
		for _, e := range entries {
			body, _ := fs.ReadFile(assetFiles, folder+"/"+e.Name())
			add(e.Name(), body)
		}
	}
	add(styleTheme, cfg.Theme)
	return all
}

// HasLook reports whether the design system was built into this program.
func HasLook() bool {
	_, err := fs.Stat(assetFiles, "look/"+styleSystem)
	return err == nil
}

// styles are the paths of the style sheets of every page.
func (s *Site) styles() (out []string) {
	first := styleSystem
	if s.PlainLook || !HasLook() {
		first = stylePlain
	}
	for _, name := range []string{first, styleDesk, styleTheme} {
		out = append(out, "/static/"+name)
	}
	return out
}

func (s *Site) file(w http.ResponseWriter, r *http.Request) {
	f, ok := s.files[r.PathValue("name")]
	if !ok {
		s.refuse(w, r, errNoPage)
		return
	}
	w.Header().Set("Content-Type", f.mediaType)
	w.Header().Set("Cache-Control", "private, no-cache") // nothing secret, and asked again each time
	w.Header().Set("ETag", f.tag)
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(f.body)
}
