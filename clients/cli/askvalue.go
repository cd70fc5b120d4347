package cli

import (
	"schakel/clients/protocol"
	"schakel/clients/protocol/routing"
)

// reads turns what a person typed into what the message carries, or says what is wrong.
func (q asker) reads(f protocol.Field, typed string) (v string, wrong protocol.Text, err error) {
	if found := routing.Find(typed); f.Kind == protocol.KindMunicipality && len(found) > 0 {
		v, err = q.municipality(found)
		return v, wrong, err
	}
	v, wrong = f.Read(typed, q.Zone)
	return v, wrong, nil
}

// municipality lets the person choose where a name may mean two.
func (q asker) municipality(found []routing.Found) (string, error) {
	if len(found) == 1 {
		q.tell("  %s (%s), Veilig Thuis %s", found[0].Name, found[0].Code, found[0].Region.Name)
		return found[0].Code, nil
	}
	var choices []choice
	for _, f := range found {
		choices = append(choices, choice{f.Code, f.Name + " (" + f.Province + ")", ""})
	}
	return q.number(">", choices, true)
}
