package cli_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"schakel/clients/schakel"
)

// commands are all commands that have a help page of ours.
func commands() []string {
	return strings.Split("ack|attachment|attachment fetch|attachment list|attachment pause|attachment resume|attachment save|agreement|agreement check|agreement make|agreement show|alarms|alarms clear|card|case|case list|case obligations|case restrict|case show|case timeline|config|config show|demo|demo peek|desks|desks confirm|device|device list|device request|device revoke|device test|device vouch|doctor|export|forward|inbox|inbox import|outbox|outbox export|init|join|person|person add|person list|person revoke|playbook|"+
		"read|release|release key|release sign|release verify|register|register admit|register cosign|register evidence|register evidence export|register evidence list|register evidence show|register evidence verify|register export|register fingerprint|register init|register publish|register relay|register release|register revoke|register root|register root draft|register root finish|register root key|register show|"+
		"organisation|organisation renew-key|run|lock|unlock|piket|search|send|sent|status|version|wait|where|"+
		"assign|draft|draft drop|draft list|draft save|draft show|log|note|take|verify|case export|case deletions|"+
		"oncall|oncall now|oncall rota|oncall rota edit|oncall rota export|oncall rota import|oncall rota leave|oncall rota override|oncall rota show|oncall swap|oncall take|oncall test|oncall drill|oncall readiness|oncall log|away|backup|history|history ask|history give|restore|recovery|recovery open|recovery try|recovery change|web|web link|web remove|web tie|web users|"+
		"token|token add|token list|token log|token revoke|webhook|webhook add|webhook list|webhook redeliver|webhook remove|webhook rotate|webhook test|witness|witness init|witness run|witness show", "|")
}

func TestHelp(t *testing.T) {
	p := newPlace(t)
	for _, c := range append([]string{""}, commands()...) {
		out, _ := p.must(0, append(strings.Fields(c), "--help")...)
		golden(t, "help/"+strings.ReplaceAll("schakel "+c, " ", "-")+".txt", out)
	}
}

// TestEveryCommandHasGoldenHelp fails when a command is added without its page.
func TestEveryCommandHasGoldenHelp(t *testing.T) {
	known := map[string]bool{"completion": true, "help": true, "bench": true}
	for _, c := range commands() {
		known[c] = true
	}
	p := newPlace(t)
	line := regexp.MustCompile(`(?m)^  ([a-z-]+) {2,}[A-Z]`)
	for _, parent := range []string{"", "agreement", "attachment", "alarms", "case", "config", "demo", "device", "draft", "history", "inbox", "outbox", "oncall", "oncall rota", "organisation", "person", "recovery", "register", "release", "register evidence", "register root", "token", "web", "webhook", "witness"} {
		out, _ := p.must(0, append(strings.Fields(parent), "--help")...)
		for _, m := range line.FindAllStringSubmatch(out, -1) {
			if name := strings.TrimSpace(parent + " " + m[1]); !known[name] {
				t.Errorf("command %q has no golden help", name)
			}
		}
	}
}

func fullNode() *scripted {
	return &scripted{
		body:   []byte(`{"vorm":["achterlating"],"feiten":"x","veiligContact":{"nietInformeren":["ouders"]},"slachtoffers":[{"roepnaam":"Noor","geboortedatum":"2007-08-02"}],"melder":{"telefoon":"+31600000003"}}`),
		alarms: []schakel.Alarm{{Kind: schakel.AlarmUnacknowledged, Subject: id1, Since: now(), Text: "Niemand bevestigde.", Remedy: "Bel +31600000007."}},
		recipients: []schakel.Recipient{{Desk: "vt20/crisis", State: schakel.StateAcknowledged, At: now(), By: "P. Iket"},
			{Desk: "politie-re03/oc", State: schakel.StateDelivered, At: now()}},
		overview: overview(),
	}
}

func reading() map[string][]string {
	return map[string][]string{
		"status": {"status"}, "inbox": {"inbox"}, "search": {"search", "celik"}, "sent": {"sent"}, "outbox": {"outbox"}, "trace": {"sent", "4f1c"}, "read": {"read", "4f1c"}, "alarms": {"alarms"},
		"cases": {"case", "list"}, "case": {"case", "show", "4f1c"}, "timeline": {"case", "timeline", "4f1c"}, "obligations": {"case", "obligations", "4f1c", "--all"},
		"cases-english": {"case", "list", "--english"}, "case-english": {"case", "show", "4f1c", "--english"},
		"timeline-english": {"case", "timeline", "4f1c", "--english"}, "obligations-english": {"case", "obligations", "4f1c", "--all", "--english"},
		"progress": {"playbook", "acuut-thuis", "--case", "4f1c"}, "desks": {"desks"}, "persons": {"person", "list"}, "devices": {"device", "list"}, "evidence": {"register", "evidence", "list"}, "card": {"card"}, "playbook": {"playbook"}, "wait": {"wait", "4f1c", "--for", "delivered"},
		"worksheet": {"note", case1}, "drafts": {"draft", "list"}, "log": {"log"}, "attachments": {"attachment", "list", "4f1c"},
		"oncall": {"oncall", "now"}, "oncall-desk": {"oncall", "now", "--desk", "knooppunt/piket"}, "rota": {"oncall", "rota", "show"},
		"pages": {"oncall", "log"}, "drills": {"oncall", "drill"}, "readiness": {"oncall", "readiness"},
	}
}

func TestReadingCommands(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	for name, args := range reading() {
		out, _ := p.must(0, args...)
		golden(t, "text/"+name+".txt", out)
		if strings.HasSuffix(name, "-english") {
			continue // a document is the same in every language
		}
		out, _ = p.must(0, append(args, "--json")...)
		golden(t, "json/"+name+".json", out)
	}
}

// TestEveryDocumentHasASchema guards what scripts of partners rest on.
func TestEveryDocumentHasASchema(t *testing.T) {
	p := newPlace(t)
	p.serve(fullNode())
	all := reading()
	all["config"], all["version"] = []string{"config", "show"}, []string{"version"}
	for name, args := range all {
		out, _ := p.must(0, append(args, "--json")...)
		var d struct {
			Schema string `json:"schema"`
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !regexp.MustCompile(`^schakel\.[a-z-]+/1$`).MatchString(d.Schema) {
			t.Errorf("%s: schema %q", name, d.Schema)
		}
	}
}

func TestEmptyListsAreNotNull(t *testing.T) {
	p := newPlace(t)
	p.serve(&scripted{})
	if out, _ := p.must(0, "alarms", "--json"); !strings.Contains(out, `"alarms": []`) {
		t.Errorf("an empty list should be [], not null:\n%s", out)
	}
}
