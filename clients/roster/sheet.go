package roster

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2"
)

// Sheet is a roster as people write it, and the revision that they began from: who sends
// in an old sheet must not undo what a colleague decided since.
type Sheet struct {
	Revision string `toml:"revision" json:"revision"`
	Roster
}

// heading stands above a sheet that is written out.
const heading = `# The rota of this desk. Times are as on the clock in the Netherlands.
# Contacts are what the relay sees: take something that says nothing, such as p-7k2.
# Names and telephone numbers stay within the desk.
# A point with relay = true is told to the relay; prefer a number or webhook of the desk,
# and mark somebody's own with personal = true.

`

// ParseSheet reads a sheet and checks its roster. A key that it does not know is an
// error: it might have been somebody's shift.
func ParseSheet(b []byte) (s Sheet, err error) {
	if len(b) > MaxBytes {
		return Sheet{}, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(b), MaxBytes)
	}
	if s, err = decodeSheet(b); err != nil {
		return Sheet{}, err
	}
	if s.Version == 0 {
		s.Version = version // a sheet written by hand need not say so
	}
	return s, s.Check()
}

func decodeSheet(b []byte) (s Sheet, err error) {
	defer func() {
		// The library panics on some sheets, such as one with a list and a table of one name.
		if recover() != nil {
			s, err = Sheet{}, fmt.Errorf("%w: the sheet is not TOML", ErrFormat)
		}
	}()
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err = d.Decode(&s); err != nil {
		var strict *toml.StrictMissingError
		var at *toml.DecodeError
		switch {
		case errors.As(err, &strict):
			row, _ := strict.Errors[0].Position()
			return Sheet{}, fmt.Errorf("%w: line %d: unknown key %.60q", ErrFormat, row, fmt.Sprint(strict.Errors[0].Key()))
		case errors.As(err, &at):
			row, _ := at.Position()
			return Sheet{}, fmt.Errorf("%w: line %d: %w", ErrFormat, row, err)
		}
		return Sheet{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return s, nil
}

// Text is the sheet that [ParseSheet] reads.
func (s Sheet) Text() ([]byte, error) {
	b, err := toml.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("failed to write the sheet: %w", err)
	}
	return append([]byte(heading), b...), nil
}
