package page_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"schakel/relay/page"
	"schakel/relay/page/pagetest"
)

func TestSettings(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	authority := pagetest.NewAuthority(t)
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Cert.Raw}), 0o600))
	read := func(s map[string]string) (page.Config, error) {
		return page.Read(func(name string) string { return s[name] })
	}
	c, err := read(map[string]string{page.SettingMailServer: "mail.example:587", page.SettingMailFrom: "a@b.example", page.SettingAllow: "10.1.2.0/24 fd00::/8",
		page.SettingCA: ca, page.SettingHook: "/bin/true"})
	if err != nil || c.Mail.Server != "mail.example:587" || len(c.Allow) != 2 || c.Hook != "/bin/true" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := page.New(c); err != nil {
		t.Error(err)
	}
	if _, err := authority.Cert.Verify(x509.VerifyOptions{Roots: c.Roots}); err != nil {
		t.Error("the file's certificates are not believed")
	}
	if c, err := read(nil); err != nil || c.Mail != nil || c.Hook != "" || c.Allow != nil || c.Roots != nil {
		t.Errorf("nothing set: %+v, %v", c, err)
	}
	for _, s := range []map[string]string{{page.SettingAllow: "10.1.2.3/24"}, {page.SettingAllow: "everything"}, {page.SettingCA: "/dev/null"}} {
		if _, err := read(s); !errors.Is(err, page.ErrPoint) {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestParsePoint(t *testing.T) {
	p, err := page.ParsePoint("ntfy=https://ntfy.example/topic")
	if err != nil || p.Channel != page.NTFY || p.Target != "https://ntfy.example/topic" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, s := range []string{"", "ntfy", "ntfy=http://x/y", "fax=1"} {
		if _, err := page.ParsePoint(s); !errors.Is(err, page.ErrPoint) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
