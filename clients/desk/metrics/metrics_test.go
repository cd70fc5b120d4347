package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"schakel/clients/desk"
	"schakel/clients/desk/metrics"
	"schakel/clients/schakel"
	"schakel/configs"
	"schakel/crypto/envelope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// counted has a number of its own for everything.
type counted struct {
	err   error
	asked int
}

func (c *counted) Figures(context.Context) (schakel.Figures, error) {
	c.asked++
	f := schakel.Figures{
		Connected: true, Contact: now.Add(-time.Second), ClockAhead: -3 * time.Second, KeysUntil: now.AddDate(0, 0, 7), DeviceEnds: now.AddDate(1, 0, 0),
		Leaving: schakel.Held{Number: 4, Since: now.Add(-5 * time.Minute)}, Duties: 6, Overdue: 7, Alarms: map[schakel.AlarmKind]int{},
		Pages: map[schakel.PageCount]uint64{{Tier: envelope.TierAcute, Channel: "ntfy", Outcome: "sent"}: 8}, Pager: true, Beat: now.Add(-2 * time.Second),
		Rota: schakel.RotaStatus{Known: true, Gaps: 9}, DrillAnswer: now.AddDate(0, 0, -10), Backup: now.AddDate(0, 0, -1), Quarantined: 11, Rejected: 12,
	}
	f.Unacknowledged[envelope.TierAcute] = schakel.Held{Number: 13, Since: now.Add(-time.Minute)}
	f.Unheard[envelope.TierUrgent] = 14
	for _, k := range schakel.AlarmKinds() {
		f.Alarms[k] = 0
	}
	f.Alarms[schakel.AlarmPager] = 15
	return f, c.err
}

// serve serves what a source counts, and returns where.
func serve(t *testing.T, source metrics.Source, ln net.Listener) {
	t.Helper()
	site := metrics.New(metrics.Config{Source: source, Folder: t.TempDir(), Certificate: now.AddDate(0, 1, 0), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- site.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func get(t *testing.T, client *http.Client, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func scrape(t *testing.T, source metrics.Source) string {
	t.Helper()
	ln := listen(t, "tcp", "127.0.0.1:0")
	serve(t, source, ln)
	code, body := get(t, http.DefaultClient, "http://"+ln.Addr().String()+"/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	return body
}

func TestEveryNumberIsTold(t *testing.T) {
	got := scrape(t, &counted{})
	for _, line := range []string{
		"connected 1", "contact_timestamp_seconds 1.772445599e+09", "clock_ahead_seconds -3", "keys_until_timestamp_seconds 1.7730504e+09",
		"device_until_timestamp_seconds 1.8039816e+09", "web_certificate_timestamp_seconds 1.775124e+09", "waiting 4", "waiting_oldest_seconds 300",
		`unacknowledged{tier="acute"} 13`, `unacknowledged_oldest_seconds{tier="acute"} 60`, `unacknowledged_oldest_seconds{tier="urgent"} 0`, `unheard{tier="urgent"} 14`,
		`obligations{state="due"} 6`, `obligations{state="overdue"} 7`, `alarms{kind="niemand-opgeroepen"} 15`, `alarms{kind="geen-reservekopie"} 0`,
		`pages_total{channel="ntfy",outcome="sent",tier="acute"} 8`, "pager 1", "pager_beat_timestamp_seconds 1.772445598e+09", "rota 1", "rota_gaps 9",
		"drill_answered_timestamp_seconds 1.7715816e+09", "backup_timestamp_seconds 1.7723592e+09", "quarantined 11", "rejected_total 12",
	} {
		if !strings.Contains(got, "\nschakel_desk_"+line+"\n") {
			t.Errorf("not told: %s", line)
		}
	}
	if problems, err := promlint.New(strings.NewReader(got)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("not as Prometheus wants it: %v, %v", problems, err)
	}
	if strings.Count(got, "\nschakel_desk_alarms{") != len(schakel.AlarmKinds()) {
		t.Error("not every kind of alarm is told")
	}
}

// What cannot be counted is no zero: the scrape fails, and says nothing of why to who asks.
func TestWhatCannotBeCountedFails(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	serve(t, &counted{err: errors.New("store broken")}, ln)
	if code, body := get(t, http.DefaultClient, "http://"+ln.Addr().String()+"/metrics", ""); code != http.StatusInternalServerError || strings.Contains(body, "schakel_desk_waiting ") {
		t.Errorf("%d: %s", code, body)
	}
}

// To count is to read the store: who asks without end does not keep the desk from it.
func TestAskedOftenCountsOnce(t *testing.T) {
	c := &counted{}
	ln := listen(t, "tcp", "127.0.0.1:0")
	serve(t, c, ln)
	began := time.Now()
	for range 20 {
		get(t, http.DefaultClient, "http://"+ln.Addr().String()+"/metrics", "")
	}
	if most := 1 + int(time.Since(began)/time.Second); c.asked > most {
		t.Errorf("counted %d times, at most %d", c.asked, most)
	}
}

// Another name that leads here, as of a page that rebinds its own, gets nothing; nor does
// another machine.
func TestForThisMachineOnly(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	serve(t, &counted{}, ln)
	for host, want := range map[string]int{"": 200, "localhost": 200, "localhost:9464": 200, "127.0.0.1": 200, "[::1]:9464": 200,
		"attacker.example": 421, "attacker.example:9464": 421, "192.0.2.1": 421, "127.0.0.1.attacker.example": 421} {
		if code, body := get(t, http.DefaultClient, "http://"+ln.Addr().String()+"/metrics", host); code != want || code != 200 && strings.Contains(body, "schakel_desk") {
			t.Errorf("asked as %q: %d", host, code)
		}
	}
	site := metrics.New(metrics.Config{Source: &counted{}, Folder: ".", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err := site.Serve(t.Context(), listen(t, "tcp", "0.0.0.0:0")); !errors.Is(err, metrics.ErrOpen) {
		t.Errorf("open to others: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "m.sock")
	ln, err := desk.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, &counted{}, ln)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	if code, body := get(t, client, "http://desk/metrics", ""); code != 200 || !strings.Contains(body, "schakel_desk_connected 1") {
		t.Errorf("%d: %s", code, body)
	}
}

var (
	metricName = regexp.MustCompile(`schakel_desk_[a-z_]+`)
	metricHelp = regexp.MustCompile(`(?m)^# HELP (schakel_desk_[a-z_]+) `)
)

// has returns the names of all metrics of a daemon.
func has(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, m := range metricHelp.FindAllStringSubmatch(scrape(t, &counted{}), -1) {
		names[m[1]] = true
	}
	if len(names) < 20 {
		t.Fatalf("only %d metrics", len(names))
	}
	return names
}

// docs/operations.md names the metrics that exist, and all of them.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range differ(has(t), metricName.FindAllString(string(text), -1)) {
		t.Error(wrong)
	}
	if len(differ(map[string]bool{"schakel_desk_a": true, "schakel_desk_b": true}, []string{"schakel_desk_a", "schakel_desk_c"})) != 2 {
		t.Error("control: what is missing on either side is not found")
	}
}

func differ(has map[string]bool, told []string) (wrong []string) {
	said := map[string]bool{}
	for _, name := range told {
		if said[name] = true; !has[name] {
			wrong = append(wrong, name+" does not exist")
		}
	}
	for name := range has {
		if !said[name] {
			wrong = append(wrong, name+" is not documented")
		}
	}
	return wrong
}

var label = regexp.MustCompile(`\{(?:kind|tier|state|outcome)(?:=~?|!=)"([^"]*)"`)

// Every metric in configs/alerts-desk.yml is one that the daemon has, and every label in
// it one that the daemon gives: a rule about "acuut" would never fire.
func TestAlertRules(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(configs.AlertsDesk, &rules); err != nil {
		t.Fatal(err)
	}
	names, text, asked := has(t), scrape(t, &counted{}), map[string]bool{}
	for _, r := range rules.Groups[0].Rules {
		if r.Alert == "" || r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
			t.Errorf("rule %+v is not whole", r)
		}
		for _, name := range metricName.FindAllString(r.Expr, -1) {
			if asked[name] = true; !names[name] {
				t.Errorf("%s: the daemon has no metric %s", r.Alert, name)
			}
		}
		for _, m := range label.FindAllStringSubmatch(r.Expr, -1) {
			for value := range strings.SplitSeq(m[1], "|") {
				if !strings.Contains(text, fmt.Sprintf("%q", value)) {
					t.Errorf("%s: no metric has a label %q", r.Alert, value)
				}
			}
		}
	}
	if len(asked) < 20 {
		t.Errorf("only %d metrics are asked for", len(asked))
	}
}
