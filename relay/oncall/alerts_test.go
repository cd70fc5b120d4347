package oncall_test

import (
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"schakel/configs"
	"schakel/relay/oncall"
)

var metricName = regexp.MustCompile(`schakel_[a-z_]+`)

// Every metric in configs/alerts.yml is one that the relay has.
func TestAlertRules(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(configs.Alerts, &rules); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	oncall.NewMetrics(reg)
	has := func(name string) bool { // a name that is taken cannot be registered again
		return reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "other", ConstLabels: prometheus.Labels{"a": "b"}})) != nil
	}
	found := 0
	for _, r := range rules.Groups[0].Rules {
		if r.Alert == "" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			t.Errorf("rule %+v is not whole", r)
		}
		for _, name := range metricName.FindAllString(r.Expr, -1) {
			if found++; !has(name) {
				t.Errorf("%s: the relay has no metric %s", r.Alert, name)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d metrics", found)
	}
	if has("schakel_relay_oncall_nonsense_total") {
		t.Error("control: a metric that nobody has is found")
	}
}
