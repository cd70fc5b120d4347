package relay_test

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"schakel/configs"
	"schakel/relay"
)

// Every metric in the rules about mailboxes and attachments is one that the relay has, with
// the label that is asked for, and a status in them is one that it answers when it has no room
// or no store.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(configs.Alerts, &rules); err != nil {
		t.Fatal(err)
	}
	has := func(name, label string) bool {
		return slices.ContainsFunc(relay.Metrics(), func(d string) bool {
			return strings.Contains(d, strconv.Quote(name)) && (label == "" || strings.Contains(d, label))
		})
	}
	name, status := regexp.MustCompile(`schakel_[a-z_]+`), regexp.MustCompile(`status="([0-9]+)"`)
	found, answered := 0, []string{strconv.Itoa(http.StatusInsufficientStorage), strconv.Itoa(http.StatusServiceUnavailable)}
	for _, g := range rules.Groups {
		if g.Name != "schakel-mailboxes" && g.Name != "schakel-attachments" {
			continue
		}
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
				t.Errorf("rule %+v is not whole", r)
			}
			label := ""
			if m := status.FindStringSubmatch(r.Expr); m != nil {
				if label = "status"; !slices.Contains(answered, m[1]) {
					t.Errorf("%s: nothing is answered %s", r.Alert, m[1])
				}
			}
			for _, metric := range name.FindAllString(r.Expr, -1) {
				if found++; !has(metric, label) {
					t.Errorf("%s: the relay has no metric %s with %q", r.Alert, metric, label)
				}
			}
		}
	}
	if found != 4 {
		t.Errorf("%d metrics are asked for", found)
	}
	if has("schakel_relay_blob_nonsense", "") || has("schakel_relay_blob_requests_total", "nonsense") {
		t.Error("control: a metric that nobody has is found")
	}
}
