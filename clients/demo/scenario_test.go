package demo_test

import (
	"errors"
	"strings"
	"testing"

	"schakel/clients/demo"
	"schakel/configs"
)

const twoDesks = `
[[desk]]
id = "arts/praktijk"
role = "signaleerder"
[[desk]]
id = "vt20/crisis"
role = "veilig-thuis"
`

func TestScenarioRefusals(t *testing.T) {
	send := `
[[step]]
do = "send"
name = "a"
class = "signaal"
from = "arts/praktijk"
to = ["vt20/crisis"]
`
	if _, err := demo.Parse([]byte(twoDesks + send)); err != nil {
		t.Fatalf("control: %v", err)
	}
	for says, text := range map[string]string{
		"unknown key":           twoDesks + "colour = 1\n",
		"is not in the":         twoDesks + strings.Replace(send, "vt20/crisis", "vt21/crisis", 1),
		"twice":                 twoDesks + send + send,
		"has not happened":      twoDesks + send + `answers = "b"`,
		"is unknown":            twoDesks + strings.Replace(send, `"send"`, `"sing"`, 1),
		`class "x"`:             twoDesks + strings.Replace(send, `"signaal"`, `"x"`, 1),
		"organisation":          twoDesks + "[[desk]]\nid = \"arts/tweede\"\nrole = \"signaleerder\"\n",
		"not in the catalogue":  "[[desk]]\nid = \"a/b\"\nrole = \"koning\"\n",
		"write it as":           "[[desk]]\nid = \"ab\"\nrole = \"om\"\n",
		"tamper needs one desk": twoDesks + "[[step]]\ndo = \"tamper\"\n",
		"offline of no desk":    twoDesks + "[[step]]\ndo = \"offline\"\n",
	} {
		if _, err := demo.Parse([]byte(text)); !errors.Is(err, demo.ErrScenario) || says != "unknown key" && !strings.Contains(err.Error(), says) {
			t.Errorf("want a refusal that says %q, got %v", says, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(configs.Scenario))
	f.Add([]byte(twoDesks))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := demo.Parse(b)
		if err != nil && !errors.Is(err, demo.ErrScenario) {
			t.Errorf("an error of no kind: %v", err)
		}
		for _, st := range s.Steps {
			if err == nil && st.From != "" {
				if _, ok := s.Desk(st.From); !ok {
					t.Errorf("step of an unknown desk %q", st.From)
				}
			}
		}
	})
}
