package web

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// qrCode is a QR code as one path of an SVG inside the page: it needs no picture of its
// own, and prints sharp.
type qrCode struct {
	Size int // of its side, in modules, with the quiet zone around it
	Path string
}

const quietZone = 4 // modules, as ISO/IEC 18004 asks

func drawQR(text string) (qrCode, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return qrCode{}, fmt.Errorf("failed to draw a QR code: %w", err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quietZone, y+quietZone)
			}
		}
	}
	return qrCode{code.Size + 2*quietZone, path.String()}, nil
}
