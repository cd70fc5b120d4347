package api

import (
	"io"
	"net/http"
	"time"

	"schakel/clients/desk"
)

// pieceTime bounds each piece of something long on its way.
const pieceTime = 30 * time.Second

// streamed answers with what write writes. A program saves it and nothing shows it: the
// name that it gets here is one of ours, or none. What fails behind the first byte is cut
// off, so that nobody takes it for the whole.
func streamed(c *call, media, name string, write func(to io.Writer) error) (answer, error) {
	out := desk.NewSlowly(c.w, pieceTime, func(h http.Header) {
		h.Set("Content-Type", media)
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
		if name != "" {
			h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
		}
	})
	if err := write(out); err != nil {
		if out.Begun() {
			out.CutOff()
		}
		return answer{}, err
	}
	return answer{sent: true}, nil
}
