package protocol

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"
	"sync"
)

// woorden.csv has the words for people: for each class, field and value a label, and a
// line of help for classes, for fields, and for values of which a tired officer could take
// the wrong one to somebody's harm, in Dutch and English. A key is
//
//	#melding            a class
//	naam                a field of that name, anywhere
//	bijlage.naam        the field inside that group
//	melding/naam        the field of that class
//	=ja                 a value, anywhere
//	status=ja           the value of that field
//
// The narrowest key that there is counts. A test holds that each of them is used and
// that none is missing, and that the sentences are short and plain.
//
//go:embed woorden.csv
var wordsFile string

// words is woorden.csv by key: label and help, each in Dutch and English.
type words map[string][2]Text

var allWords = sync.OnceValue(func() words {
	w, err := readWords(wordsFile)
	if err != nil {
		panic(err) // embedded and constant: wrong here means wrong in every test
	}
	return w
})

func readWords(file string) (words, error) {
	r := csv.NewReader(strings.NewReader(file))
	r.FieldsPerRecord = 5
	r.Comma = '|'
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	w := words{}
	for _, row := range rows[1:] {
		if _, twice := w[row[0]]; twice {
			return nil, fmt.Errorf("woorden.csv: %s stands there twice", row[0])
		}
		w[row[0]] = [2]Text{{row[1], row[3]}, {row[2], row[4]}}
	}
	return w, nil
}

// first returns the words of the first key that there is. A class that partners added
// has no words here: then the name itself is the label.
func (w words) first(name string, keys ...string) (label, help Text) {
	for _, key := range keys {
		if t, ok := w[key]; ok {
			return t[0], t[1]
		}
	}
	plain := strings.ReplaceAll(name, "-", " ")
	return Text{plain, plain}, Text{}
}

func (w words) class(name, gloss string) (label, help Text) {
	label, help = w.first(name, "#"+name)
	if help == (Text{}) {
		help = Text{gloss, gloss}
	}
	return label, help
}

func (w words) field(class, parent, name string) (label, help Text) {
	return w.first(name, class+"/"+name, parent+"."+name, name)
}

func (w words) value(field, value string) (label, help Text) {
	return w.first(value, field+"="+value, "="+value)
}
