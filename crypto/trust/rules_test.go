package trust_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
	"schakel/crypto/trust/trusttest"
)

// TestAttacks walks the rows of evil-relay.md that are about single entries.
func TestAttacks(t *testing.T) {
	for _, group := range [][]attack{rootAttacks(), ghostAttacks(), nameAttacks(), keyAttacks(), spellingAttacks(), revokeAttacks(), chainAttacks(), anchorAttacks(), releaseAttacks()} {
		for _, a := range group {
			t.Run(a.id, a.run)
		}
	}
}

func (w *world) newRoot(version uint64, threshold int, by ...trusttest.Key) []byte {
	b := w.Root(version, threshold, trusttest.NewKey("new 0"), trusttest.NewKey("new 1"), w.Holders[2])
	return w.signRoot(b, by...)
}

func (w *world) signRoot(b trust.Root, by ...trusttest.Key) []byte {
	var signers []trust.Signer
	for _, k := range by {
		signers = append(signers, k)
	}
	return w.ok(b.Sign(w.next(b), signers...))
}

// rootAttacks: C11. The control is signed by two of the old and two of the new.
func rootAttacks() []attack {
	new0, new1 := trusttest.NewKey("new 0"), trusttest.NewKey("new 1")
	control := func(w *world) []byte { return w.newRoot(2, 2, w.Holders[0], w.Holders[1], new0, new1) }
	row := func(what string, want error, f func(w *world) []byte) attack {
		return attack{"C11 " + what, want, f, control}
	}
	return []attack{
		row("one old holder of two", trust.ErrUnauthorised, func(w *world) []byte {
			return w.newRoot(2, 2, w.Holders[0], new0, new1)
		}),
		row("one new holder of two", trust.ErrUnauthorised, func(w *world) []byte {
			return w.newRoot(2, 2, w.Holders[0], w.Holders[1], new0)
		}),
		row("version skipped", trust.ErrRule, func(w *world) []byte {
			return w.newRoot(3, 2, w.Holders[0], w.Holders[1], new0, new1)
		}),
		row("version repeated", trust.ErrRule, func(w *world) []byte {
			return w.newRoot(1, 2, w.Holders[0], w.Holders[1], new0, new1)
		}),
		row("a holder signs twice", trust.ErrFormat, func(w *world) []byte {
			text := textOf(control(w))
			one := forge(w.t, text, noteSigner{"root", w.Holders[0]})
			line := string(one[len(text)+1:])
			return []byte(text + "\n" + line + line)
		}),
		row("a holder listed twice", trust.ErrKeyReused, func(w *world) []byte {
			key := "key " + new0.Public().String() + "\n"
			return edit(w.t, control(w), key, key+key, w.root...)
		}),
		row("threshold 0", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "threshold 2", "threshold 0", w.root...)
		}),
		row("lives for two years", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "expires 2027", "expires 2028", w.root...)
		}),
		row("an organisation's key as holder", trust.ErrKeyReused, func(w *world) []byte {
			org := trusttest.OrgKey("vt20")
			b := w.Root(2, 2, new0, org)
			return w.signRoot(b, w.Holders[0], w.Holders[1], new0, org)
		}),
		row("a stranger's signature beside enough", trust.ErrUnauthorised, func(w *world) []byte {
			return w.newRoot(2, 2, w.Holders[0], w.Holders[1], new0, new1, trusttest.NewKey("stranger"))
		}),
	}
}

// ghostAttacks: C13, C14 and H11.
func ghostAttacks() []attack {
	control := (*world).freshDevice
	changeDesk := func(w *world, change func(*trust.Desk), holders ...trust.Signer) []byte {
		d, _ := w.Register().Desk("vt20/crisis")
		change(&d.Desk)
		return w.ok(d.Desk.Sign(w.next(d.Desk), trusttest.OrgKey("vt20"), holders...))
	}
	om := func(d *trust.Desk) { d.Role = identity.RoleOM }
	region := func(d *trust.Desk) { d.Region = "VT01" }
	return []attack{
		{"C13 device without its organisation", trust.ErrUnauthorised, func(w *world) []byte {
			return forge(w.t, textOf(control(w)), noteSigner{"device", w.fresh.Sign}, noteSigner{"login", w.fresh.Login})
		}, control},
		{"C13 device signed by the root", trust.ErrFormat, func(w *world) []byte {
			return forge(w.t, textOf(control(w)), append(w.root, noteSigner{"device", w.fresh.Sign}, noteSigner{"login", w.fresh.Login})...)
		}, control},
		{"C13 person without its organisation", trust.ErrUnauthorised, func(w *world) []byte {
			return w.ok(w.fresh.Person.Sign(trust.First(), w.fresh.PersonKey, w.fresh.PersonKey))
		}, func(w *world) []byte {
			return w.ok(w.fresh.Person.Sign(trust.First(), trusttest.OrgKey("vt20"), w.fresh.PersonKey))
		}},
		{"C13 epochs signed by another device", trust.ErrUnauthorised, func(w *world) []byte {
			b := w.vt.Epochs(17, 16, now)
			return w.ok(b.Sign(w.next(b), w.pol.Sign))
		}, func(w *world) []byte {
			b := w.vt.Epochs(17, 16, now)
			return w.ok(b.Sign(w.next(b), w.vt.Sign))
		}},
		{"C14 device signed by another organisation", trust.ErrUnauthorised, func(w *world) []byte {
			return w.ok(w.fresh.Device.Sign(trust.First(), trusttest.OrgKey("politie-mn"), w.fresh.Sign, w.fresh.Login))
		}, control},
		{"C14 device of a desk that nobody entered", trust.ErrRule, func(w *world) []byte {
			w.fresh.Desk = "vt20/ghost"
			return control(w)
		}, func(w *world) []byte { w.fresh.Desk = "vt20/crisis"; return control(w) }},
		{"C19 device without proof of its signing key", trust.ErrUnauthorised, func(w *world) []byte {
			return forge(w.t, textOf(control(w)), append(w.orgKey, noteSigner{"login", w.fresh.Login})...)
		}, control},
		{"C19 device without proof of its login key", trust.ErrUnauthorised, func(w *world) []byte {
			return forge(w.t, textOf(control(w)), append(w.orgKey, noteSigner{"device", w.fresh.Sign})...)
		}, control},
		{"H11 role changed by the organisation alone", trust.ErrUnauthorised, func(w *world) []byte {
			return changeDesk(w, om)
		}, func(w *world) []byte { return changeDesk(w, om, w.Quorum()...) }},
		{"H11 role changed with one holder of two", trust.ErrUnauthorised, func(w *world) []byte {
			return changeDesk(w, om, w.Holders[0])
		}, func(w *world) []byte { return changeDesk(w, om, w.Quorum()...) }},
		{"H11 new desk without the root", trust.ErrUnauthorised, func(w *world) []byte {
			return w.ok(trust.Desk{ID: "vt20/om", Name: "x", Role: "om", Region: "XA", Phone: "+31600000001"}.Sign(trust.First(), trusttest.OrgKey("vt20")))
		}, func(w *world) []byte {
			return w.ok(trust.Desk{ID: "vt20/om", Name: "x", Role: "om", Region: "XA", Phone: "+31600000001"}.Sign(trust.First(), trusttest.OrgKey("vt20"), w.Quorum()...))
		}},
		{"C17 region changed by the organisation alone", trust.ErrUnauthorised, func(w *world) []byte {
			return changeDesk(w, region)
		}, func(w *world) []byte {
			return changeDesk(w, func(d *trust.Desk) { d.Phone, d.Name = "+31600000099", "Ander bureau" })
		}},
		{"H11 root changes a desk without its organisation", trust.ErrUnauthorised, func(w *world) []byte {
			return forge(w.t, textOf(changeDesk(w, om)), w.root...)
		}, func(w *world) []byte { return changeDesk(w, om, w.Quorum()...) }},
	}
}

// nameAttacks: C17. What people read is plain ASCII.
func nameAttacks() []attack {
	control := func(w *world) []byte {
		o := trusttest.Org("om")
		o.Name = "OM Spoed"
		return w.ok(o.Sign(trust.First(), w.Quorum()...))
	}
	var rows []attack
	for what, name := range map[string]string{
		"Cyrillic O":              "name ОM Spoed",
		"right-to-left override":  "name OM \u202edeopS",
		"combining accent":        "name OM Spoe\u0301d",
		"no-break space":          "name OM\u00a0Spoed",
		"space at the end":        "name OM Spoed ",
		"empty":                   "name ",
		"81 characters":           "name " + strings.Repeat("O", 81),
		"a line of another field": "name OM Spoed\nname OM",
	} {
		rows = append(rows, attack{"C17 " + what, trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, control(w), "name OM Spoed", name, w.root...)
		}, control})
	}
	return append(rows, attack{"C17 organisation id in capitals", trust.ErrFormat, func(w *world) []byte {
		return edit(w.t, control(w), "subject org/om", "subject org/OM", w.root...)
	}, control})
}

// keyAttacks: C18 and C19.
func keyAttacks() []attack {
	org := func(w *world) []byte { return w.ok(trusttest.Org("om").Sign(trust.First(), w.Quorum()...)) }
	var rows []attack
	for what, key := range map[string][]byte{
		"all zeros":              make([]byte, 32),
		"the identity":           append([]byte{1}, make([]byte, 31)...),
		"order 2":                append(append([]byte{0xec}, slices.Repeat([]byte{0xff}, 30)...), 0x7f),
		"not canonical":          append(append([]byte{0xee}, slices.Repeat([]byte{0xff}, 30)...), 0x7f),
		"not on the curve":       append([]byte{2}, make([]byte, 31)...),
		"31 bytes":               make([]byte, 31),
		"identity, sign bit set": append(append([]byte{1}, make([]byte, 30)...), 0x80),
	} {
		rows = append(rows, attack{"C18 " + what, trust.ErrFormat, func(w *world) []byte {
			key64 := base64.StdEncoding.EncodeToString(key)
			return edit(w.t, org(w), "key "+trusttest.OrgKey("om").Public().String(), "key "+key64, w.root...)
		}, org})
	}
	control := (*world).freshDevice
	with := func(change func(w *world)) func(w *world) []byte {
		return func(w *world) []byte {
			was := w.fresh
			change(w)
			w.fresh.SignKey, w.fresh.LoginKey = w.fresh.Sign.Public(), w.fresh.Login.Public()
			entry, err := w.fresh.Device.Sign(trust.First(), trusttest.OrgKey("vt20"), w.fresh.Sign, w.fresh.Login)
			w.fresh = was
			return w.ok(entry, err)
		}
	}
	return append(rows,
		attack{"C19 signing key of another device", trust.ErrKeyReused, with(func(w *world) { w.fresh.Sign = w.pol.Sign }), control},
		attack{"C19 login key of another device", trust.ErrKeyReused, with(func(w *world) { w.fresh.Login = w.pol.Login }), control},
		attack{"C19 signing key as login key of another", trust.ErrKeyReused, with(func(w *world) { w.fresh.Login = w.vt.Sign }), control},
		attack{"C19 the organisation's key as signing key", trust.ErrKeyReused, with(func(w *world) { w.fresh.Sign = trusttest.OrgKey("vt20") }), control},
		attack{"C19 the log's key as login key", trust.ErrKeyReused, with(func(w *world) { w.fresh.Login = w.Log }), control},
		attack{"C19 signing key equal to login key", trust.ErrKeyReused, func(w *world) []byte {
			d := w.fresh
			return edit(w.t, control(w), "login "+d.LoginKey.String(), "login "+d.SignKey.String(),
				append(w.orgKey, noteSigner{"device", d.Sign}, noteSigner{"login", d.Sign})...)
		}, control},
		attack{"C19 witness key equal to a device's", trust.ErrKeyReused, func(w *world) []byte {
			b := w.Root(2, 2, w.Holders...)
			v, err := trust.WitnessKey("schakel.example/witness", w.pol.Sign.Public())
			if err != nil {
				w.t.Fatal(err)
			}
			b.Witnesses = []trust.VKey{v}
			return w.signRoot(b, w.Holders[0], w.Holders[1])
		}, func(w *world) []byte {
			b := w.Root(2, 2, w.Holders...)
			v, err := trust.WitnessKey("schakel.example/witness", trusttest.NewKey("witness").Public())
			if err != nil {
				w.t.Fatal(err)
			}
			b.Witnesses, b.Quorum = []trust.VKey{v}, 1
			return w.signRoot(b, w.Holders[0], w.Holders[1])
		}},
		attack{"C19 one epoch key twice", trust.ErrKeyReused, func(w *world) []byte {
			b := w.vt.Epochs(17, 2, now)
			entry := w.ok(b.Sign(w.next(b), w.vt.Sign))
			one := "recipient " + base64.StdEncoding.EncodeToString(b.Hashes[0][:]) + "\n"
			two := "recipient " + base64.StdEncoding.EncodeToString(b.Hashes[1][:]) + "\n"
			return edit(w.t, entry, two, one, noteSigner{"device", w.vt.Sign})
		}, func(w *world) []byte {
			b := w.vt.Epochs(17, 2, now)
			return w.ok(b.Sign(w.next(b), w.vt.Sign))
		}},
	)
}

// spellingAttacks: C20. The same content in another spelling does not count.
func spellingAttacks() []attack {
	control := (*world).freshDevice
	bytes := func(what string, f func(w *world, raw string) string) attack {
		return attack{"C20 " + what, trust.ErrFormat, func(w *world) []byte { return []byte(f(w, string(control(w)))) }, control}
	}
	all := func(w *world) []note.Signer {
		return append(w.orgKey, noteSigner{"device", w.fresh.Sign}, noteSigner{"login", w.fresh.Login})
	}
	text := func(what, old, new string) attack {
		return attack{"C20 " + what, trust.ErrFormat, func(w *world) []byte { return edit(w.t, control(w), old, new, all(w)...) }, control}
	}
	lastLine := func(raw string) string { return raw[strings.LastIndex(raw[:len(raw)-1], "\n")+1:] }
	return []attack{
		bytes("signature line twice", func(_ *world, raw string) string { return raw + lastLine(raw) }),
		bytes("signature lines in another order", func(_ *world, raw string) string {
			head := raw[:len(raw)-len(lastLine(raw))]
			return head[:len(head)-len(lastLine(head))] + lastLine(raw) + lastLine(head)
		}),
		bytes("signature in a foreign name", func(w *world, raw string) string {
			extra := forge(w.t, textOf([]byte(raw)), noteSigner{"witness", w.fresh.Sign})
			return raw + lastLine(string(extra))
		}),
		bytes("CRLF", func(_ *world, raw string) string { return strings.ReplaceAll(raw, "\n", "\r\n") }),
		bytes("text behind", func(_ *world, raw string) string { return raw + "hello\n" }),
		bytes("no newline at the end", func(_ *world, raw string) string { return raw[:len(raw)-1] }),
		bytes("not UTF-8", func(_ *world, raw string) string { return strings.Replace(raw, "type person", "type pers\xff", 1) }),
		bytes("no signatures", func(_ *world, raw string) string { return textOf([]byte(raw)) + "\n" }),
		bytes("loose base64", func(_ *world, raw string) string {
			i := strings.LastIndex(raw, "=")
			return raw[:i-1] + string(raw[i-1]+1) + raw[i:] // the last bits of the last letter are not used
		}),
		bytes("empty", func(*world, string) string { return "" }),
		bytes("9 KiB", func(_ *world, raw string) string { return strings.Repeat("x", 9<<10) + raw }),
		text("another format line", "register/v1", "register/v2"),
		text("unknown line", "until ", "colour blue\nuntil "),
		text("missing line", "type person\n", ""),
		text("lines in another order", "kind device\nsubject", "subject device\nkind"),
		text("number with a zero before it", "seq 1", "seq 01"),
		text("number with a plus", "seq 1", "seq +1"),
		text("time with a fraction", "08:00:00Z", "08:00:00.0Z"),
		text("time in another zone", "08:00:00Z", "09:00:00+01:00"),
		text("identifier in capitals", "subject device/", "subject Device/"),
		text("another kind than its subject", "kind device", "kind person"),
		text("ends before it begins", "until 20", "until 19"),
		{"C20 unknown kind", trust.ErrUnknownKind, func(w *world) []byte {
			return edit(w.t, control(w), "kind device", "kind poem", all(w)...)
		}, control},
	}
}

// revokeAttacks: only who owns something ends it, and only once.
func revokeAttacks() []attack {
	of := func(s trust.Subject) trust.Revoke {
		return trust.Revoke{Of: s, Reason: trust.ReasonLost, Effective: now}
	}
	sign := func(s func(w *world) trust.Subject, by func(w *world) []trust.By) func(w *world) []byte {
		return func(w *world) []byte { b := of(s(w)); return w.ok(b.Sign(w.next(b), by(w)...)) }
	}
	device := func(w *world) trust.Subject { return w.vt.Subject() }
	relay := func(w *world) trust.Subject { return w.Relay.Subject() }
	own := func(*world) []trust.By { return []trust.By{trust.ByOrg(trusttest.OrgKey("vt20"))} }
	other := func(*world) []trust.By { return []trust.By{trust.ByOrg(trusttest.OrgKey("politie-mn"))} }
	root := func(w *world) []trust.By {
		return []trust.By{trust.ByRoot(w.Holders[0]), trust.ByRoot(w.Holders[1])}
	}
	return []attack{
		{"device by another organisation", trust.ErrUnauthorised, sign(device, other), sign(device, own)},
		{"device by one holder of two", trust.ErrUnauthorised, sign(device, func(w *world) []trust.By { return root(w)[:1] }), sign(device, root)},
		{"relay by an organisation", trust.ErrUnauthorised, sign(relay, own), sign(relay, root)},
		{"what nobody entered", trust.ErrRule, sign(func(w *world) trust.Subject { return w.fresh.Subject() }, root), sign(device, root)},
		{"the root itself", trust.ErrFormat, func(w *world) []byte {
			return edit(w.t, sign(device, root)(w), "subject "+string(device(w)), "subject root", w.root...)
		}, sign(device, root)},
	}
}

// chainAttacks: an entry counts in its own place only.
func chainAttacks() []attack {
	control := func(w *world) []byte {
		d := w.vt.Device
		d.Until = d.Until.AddDate(1, 0, 0)
		return w.ok(d.Sign(w.next(d), trusttest.OrgKey("vt20"), w.vt.Sign, w.vt.Login))
	}
	at := func(change func(p *trust.Place)) func(w *world) []byte {
		return func(w *world) []byte {
			p := w.next(w.vt.Device)
			change(&p)
			return w.ok(w.vt.Device.Sign(p, trusttest.OrgKey("vt20"), w.vt.Sign, w.vt.Login))
		}
	}
	return []attack{
		{"replayed", trust.ErrSequence, func(w *world) []byte {
			for _, e := range w.Entries() {
				if p, err := trust.ParseEntry(e); err == nil && p.Body.Subject() == w.vt.Subject() {
					return e
				}
			}
			return nil
		}, control},
		{"seq skipped", trust.ErrSequence, at(func(p *trust.Place) { p.Seq++ }), control},
		{"another predecessor", trust.ErrSequence, at(func(p *trust.Place) { p.Prev[0]++ }), control},
		{"signing key exchanged", trust.ErrRule, func(w *world) []byte {
			d := w.vt.Device
			d.SignKey = w.fresh.SignKey
			return w.ok(d.Sign(w.next(d), trusttest.OrgKey("vt20"), w.fresh.Sign, w.vt.Login))
		}, control},
		{"device moved to another desk", trust.ErrRule, func(w *world) []byte {
			d := w.vt.Device
			d.Desk = "politie-mn/zeden"
			return w.ok(d.Sign(w.next(d), trusttest.OrgKey("politie-mn"), w.vt.Sign, w.vt.Login))
		}, control},
		{"person moved to another desk", trust.ErrRule, func(w *world) []byte {
			p := w.vt.Person
			p.Desk = "politie-mn/zeden"
			return w.ok(p.Sign(w.next(p), trusttest.OrgKey("politie-mn"), w.vt.PersonKey))
		}, control},
		{"epoch number used again", trust.ErrRule, func(w *world) []byte {
			b := w.vt.Epochs(16, 2, now)
			return w.ok(b.Sign(w.next(b), w.vt.Sign))
		}, control},
	}
}

// TestF14NameIsNoRole: what a desk calls itself is its organisation's affair, and moves
// nothing: whoever looks at the role finds what the root signed.
func TestF14NameIsNoRole(t *testing.T) {
	w := newWorld(t)
	before, _ := w.Register().Desk("vt20/crisis")
	d := before.Desk
	d.Name = "OM Spoed"
	w.Add(w.ok(d.Sign(w.next(d), trusttest.OrgKey("vt20"))))
	after, _ := w.Register().Desk("vt20/crisis")
	if after.Name != d.Name {
		t.Errorf("control: the name is %q", after.Name)
	}
	if after.Role != before.Role || after.Region != before.Region || after.Role == identity.RoleOM {
		t.Errorf("a name made %s of %s", after.Role, before.Role)
	}
	d.Role = identity.RoleOM
	if _, err := w.Register().Check(w.ok(d.Sign(w.next(d), trusttest.OrgKey("vt20")))); !errors.Is(err, trust.ErrUnauthorised) {
		t.Errorf("the role by that name: %v", err)
	}
}
