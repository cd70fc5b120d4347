package web

import (
	"net/http"
	"strconv"
	"time"

	"schakel/clients/desk"
)

// pieceTime bounds each piece of a file on its way to or from a browser. A whole file may
// take as long as it moves.
const pieceTime = 30 * time.Second

// download answers with a file that a browser keeps and does not open.
func download(w http.ResponseWriter, name, mediaType string, file []byte) {
	saved(w.Header(), name, mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	_, _ = w.Write(file) // the browser is gone: nobody to tell
}

// downloaded is download for what is written piece by piece. Until the first byte the
// answer can still be a page.
func downloaded(v *visit, name, mediaType string) *desk.Slowly {
	return desk.NewSlowly(v.w, pieceTime, func(h http.Header) { saved(h, name, mediaType) })
}

// saved has a browser keep a file under a name of ours, and never run or show what is in it:
// were it opened all the same, it is in no origin and may fetch nothing.
func saved(h http.Header, name, mediaType string) {
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}
