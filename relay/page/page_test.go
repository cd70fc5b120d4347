package page_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"schakel/crypto/envelope"
	"schakel/relay/page"
)

// The whole of what a person is told, held to the letter.
func TestPageText(t *testing.T) {
	reference := acute.Reference
	for name, c := range map[string]struct {
		p           page.Page
		title, text string
	}{
		"acute": {acute, "Schakel: acuut", "Open Schakel. Aandacht: acuut. Kenmerk: REF.\nOpen Schakel. Attention: acute. Reference: REF.\n"},
		"exercise": {page.Page{Tier: envelope.TierUrgent, Reference: reference, Exercise: true}, "OEFENING - Schakel: spoed",
			"OEFENING, dit is niet echt. EXERCISE, this is not real.\nOpen Schakel. Aandacht: spoed. Kenmerk: REF.\nOpen Schakel. Attention: urgent. Reference: REF.\n"},
		"test": {page.Page{Reference: reference, Test: true}, "TEST - Schakel: proef",
			"TEST: er wacht niets. Nothing is waiting.\nOpen Schakel. Aandacht: proef. Kenmerk: REF.\nOpen Schakel. Attention: test. Reference: REF.\n"},
		"one of one":     {waiting(1), "Schakel: acuut", "Open Schakel. Aandacht: acuut. Kenmerk: REF.\nOpen Schakel. Attention: acute. Reference: REF.\n"},
		"one of several": {waiting(3), "Schakel: acuut", "Open Schakel. Aandacht: acuut. Kenmerk: REF.\nOpen Schakel. Attention: acute. Reference: REF.\n3 wachten. 3 waiting.\n"},
		"one of a flood": {waiting(4711), "Schakel: acuut", "Open Schakel. Aandacht: acuut. Kenmerk: REF.\nOpen Schakel. Attention: acute. Reference: REF.\n20 of meer wachten. 20 or more waiting.\n"},
	} {
		if got := c.p.Title(); got != c.title {
			t.Errorf("%s: title %q, want %q", name, got, c.title)
		}
		if got := strings.ReplaceAll(c.p.Text(), reference, "REF"); got != c.text {
			t.Errorf("%s: text %q, want %q", name, got, c.text)
		}
	}
}

func waiting(n int) page.Page {
	p := acute
	p.Waiting = n
	return p
}

// nowhere counts what reaches a channel.
type nowhere struct{ pages int }

func (n *nowhere) Notify(context.Context, page.Page) error { n.pages++; return nil }

// A caller that puts more into a page than belongs there is stopped before any channel.
func TestOnlyAReferenceGoesOut(t *testing.T) {
	out := &nowhere{}
	c := channels(t, page.Config{Others: map[string]func(string) (page.Notifier, error){
		page.Shoutrrr: func(string) (page.Notifier, error) { return out, nil },
	}})
	for _, reference := range []string{"", "019ab2c0-5f10-7a31-9c42-1d0e5a7b3c01", "vt20/crisis", "K. Nooppunt", "ABCD-EFG", "abcd-efgh", "ABCD-EFG1", "ABCDEFGH", "ABCD-EFGH\n"} {
		p := acute
		if p.Reference = reference; !errors.Is(notify(t, c, page.Shoutrrr, "x://y", p), page.ErrPage) {
			t.Errorf("reference %q went out", reference)
		}
	}
	for _, p := range []page.Page{{Reference: acute.Reference}, {Tier: 4, Reference: acute.Reference}, {Test: true, Waiting: 1, Reference: acute.Reference}, waiting(-1)} {
		if !errors.Is(notify(t, c, page.Shoutrrr, "x://y", p), page.ErrPage) {
			t.Errorf("%+v went out", p)
		}
	}
	if out.pages != 0 {
		t.Error("a channel saw them")
	}
	if err := notify(t, c, page.Shoutrrr, "x://y", acute); err != nil || out.pages != 1 {
		t.Errorf("control: a right page does not go out: %v", err)
	}
}

func TestReference(t *testing.T) {
	key := []byte("key")
	if a, b := page.Reference(key, []byte("one")), page.Reference(key, []byte("one")); a != b {
		t.Error("a second call about the same has another reference")
	}
	if page.Reference(key, []byte("one")) == page.Reference(key, []byte("two")) {
		t.Error("two that wait have one reference")
	}
	if page.Reference(key, []byte("one")) == page.Reference([]byte("other"), []byte("one")) {
		t.Error("who knows the identifier knows the reference")
	}
}

func TestPoints(t *testing.T) {
	secret := "#whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for _, p := range []page.Point{
		{page.NTFY, "https://ntfy.example/topic"}, {page.NTFY, "https://user:pass@ntfy.example:8443/topic?x=1"},
		{page.Webhook, "https://hook.example/p" + secret}, {page.SMTP, "piket@desk.example"}, {page.SMTP, "o'neill+night@a-b.example"},
		{page.Shoutrrr, "telegram://token@telegram?chats=1"}, {page.Exec, "c-1"},
	} {
		if err := p.Check(); err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	for _, p := range []page.Point{
		{page.NTFY, "http://ntfy.example/topic"}, {page.NTFY, "https://ntfy.example/"}, {page.NTFY, "ftp://ntfy.example/x"}, {page.NTFY, "https:///topic"},
		{page.NTFY, "https://ntfy.example/to pic"}, {page.NTFY, "https://ntfy.example/" + strings.Repeat("x", 600)}, {page.NTFY, ""},
		{page.NTFY, "https:ntfy.example/topic"}, {page.NTFY, "https://ntfy.example/\r\nX: y"},
		{page.Webhook, "https://hook.example/p"}, {page.Webhook, "https://hook.example/p#whsec_AAAA"}, {page.Webhook, "http://hook.example/p" + secret},
		{page.Webhook, "https://hook.example/p#" + secret[7:]},
		{page.SMTP, "piket"}, {page.SMTP, "Piket <piket@desk.example>"}, {page.SMTP, "a@b@c"}, {page.SMTP, "a@b\r\nBcc: c@d"}, {page.SMTP, "a..b@c.example"},
		{page.SMTP, `"a b"@c.example`}, {page.SMTP, "a@[127.0.0.1]"}, {page.SMTP, "-oQ/x@c.example"}, {page.SMTP, "a@b,c@d"},
		{"fax", "0600000000"},
	} {
		err := p.Check()
		if !errors.Is(err, page.ErrPoint) {
			t.Errorf("%v is taken", p)
		}
		if err != nil && len(p.Target) > 3 && strings.Contains(err.Error(), p.Target) {
			t.Errorf("the error quotes the target: %v", err)
		}
	}
}

func TestIndependent(t *testing.T) {
	ntfy, same := page.Point{page.NTFY, "https://ntfy.example/a"}, page.Point{page.NTFY, "https://other.example/b"}
	mail, atNTFY := page.Point{page.SMTP, "a@desk.example"}, page.Point{page.SMTP, "a@ntfy.example"}
	for name, c := range map[string]struct {
		points []page.Point
		want   bool
	}{
		"none": {nil, false}, "one": {[]page.Point{ntfy}, false}, "one twice": {[]page.Point{ntfy, ntfy}, false},
		"one kind": {[]page.Point{ntfy, same}, false}, "one host": {[]page.Point{ntfy, atNTFY}, false},
		"two": {[]page.Point{ntfy, mail}, true}, "two of three": {[]page.Point{ntfy, atNTFY, mail}, true},
		"a second that cannot work": {[]page.Point{ntfy, {page.SMTP, "nobody"}}, false},
	} {
		if got := page.Independent(c.points); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestDomain(t *testing.T) {
	for target, want := range map[string]string{
		"https://ntfy.example/a": "ntfy.example", "https://A.b.NTFY.example:8443/a": "ntfy.example", "https://ntfy.example./a": "ntfy.example",
		"https://politie.example.co.uk/a": "example.co.uk", "https://co.uk/a": "co.uk", "https://192.0.2.7/a": "192.0.2.7", "https://[2001:db8::7]:1/a": "2001:db8::7",
	} {
		if got := (page.Point{Channel: page.NTFY, Target: target}).Domain(); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	if got := (page.Point{Channel: page.SMTP, Target: "piket@mail.desk.example"}).Domain(); got != "desk.example" {
		t.Errorf("mail: %s", got)
	}
}

// FuzzPoint: what Check takes, For takes or refuses by configuration, and the address
// that is dialled is the one that was checked.
func FuzzPoint(f *testing.F) {
	for _, s := range []string{"https://ntfy.example/topic", "https://h.example/p#whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a@b.example", "https://a@b:1/x?y#z"} {
		for _, channel := range []string{page.NTFY, page.Webhook, page.SMTP} {
			f.Add(channel, s)
		}
	}
	c := channels(f, page.Config{Mail: &page.Mail{Server: "localhost:25", From: "a@b.example"}})
	f.Fuzz(func(t *testing.T, channel, target string) {
		p := page.Point{Channel: channel, Target: target}
		err := p.Check()
		if err != nil && !errors.Is(err, page.ErrPoint) {
			t.Fatalf("error of another kind: %v", err)
		}
		if _, again := c.For(p); (again == nil) != (err == nil) && channel != page.Shoutrrr && channel != page.Exec {
			t.Fatalf("Check says %v, For %v", err, again)
		}
		if err == nil && strings.ContainsAny(target, "\r\n \x00") {
			t.Fatal("a line break or a blank is in the target")
		}
		if address, secret, err := page.SplitWebhook(target); err == nil {
			if again := page.JoinWebhook(address, secret); again != target {
				t.Fatalf("%q is read as %q", target, again)
			}
		}
	})
}
