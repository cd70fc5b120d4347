package harmless

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// endings are how a file of a type is called, so that nobody's desktop opens it as another.
var endings = map[string][]string{
	"application/pdf": {".pdf"},
	"image/jpeg":      {".jpg", ".jpeg"},
	"image/png":       {".png"},
	"text/plain":      {".txt"},
}

// maxFileName leaves room for what else a path holds.
const maxFileName = 120

// FileName is the name under which a file of a partner can be saved (attack E07): no part of
// a path, nothing that acts or cannot be seen, no name that a system keeps for itself, and
// the ending of its media type, whatever the partner called it. There always is one.
func FileName(name, mediaType string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if Acts(r) || r == utf8.RuneError || strings.ContainsRune(`<>:"/\|?*$`, r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, name)
	known := endings[mediaType]
	if known == nil {
		known = []string{".bin"}
	}
	ending := known[0]
	for _, e := range known {
		if strings.EqualFold(name[max(0, len(name)-len(e)):], e) {
			name, ending = name[:len(name)-len(e)], e
		}
	}
	name = strings.Trim(name, " .\u00a0-~")
	for len(name) > maxFileName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	if stem, _, _ := strings.Cut(name, "."); name == "" || reserved(stem) {
		name = "bijlage_" + name
	}
	return name + ending
}

// reserved are the names of devices on Windows, with any ending.
func reserved(stem string) bool {
	stem = strings.ToUpper(strings.TrimSpace(stem))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN_", "CONOUT_":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}
