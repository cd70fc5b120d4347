package token_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/token"
	"schakel/clients/schakel"
	"schakel/clients/schakel/schakeltest"
	"schakel/crypto/identity"
)

func TestTokens(t *testing.T) {
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	person := m.AddPerson("P. Iket")
	k := token.New(token.Config{Store: m.Store(), People: m.Node, Now: chain.Now})
	good := desk.TokenRequest{Name: "zaaksysteem", Roles: []desk.Role{"piket"}, Scopes: []string{"messages:read", "desk:read", "desk:read"}, Person: "P. Iket", Expires: chain.Now().Add(time.Hour)}
	added, err := k.AddToken(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Holder(t.Context(), added.Secret)
	if err != nil || got.ID != added.ID || got.Person != person.ID.String() || len(got.Scopes) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	refused(t, k, chain, good)

	// What the store has opens nothing.
	err = m.Store().Readable(t.Context(), func(b []byte) {
		if strings.Contains(string(b), added.Secret) || strings.Contains(string(b), added.Secret[len(added.Secret)-43:]) {
			t.Error("the secret is in the store")
		}
	})
	if err != nil {
		t.Error(err)
	}
	for secret, why := range map[string]string{"": "empty", added.Secret[:len(added.Secret)-1]: "cut off", added.Secret + " ": "longer", strings.Replace(added.Secret, "schakel", "Schakel", 1): "other letters",
		token.Format(make([]byte, 8), make([]byte, 32)): "unknown", added.Secret[:25] + strings.Repeat("A", 43): "the identifier of another"} {
		if _, err := k.Holder(t.Context(), secret); !errors.Is(err, token.ErrToken) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := k.Used(t.Context(), got, "openMessage", strings.Repeat("x", 5000)); err != nil {
		t.Error(err)
	}
	if err := k.RevokeToken(t.Context(), "ZAAKSYSTEEM"); err != nil {
		t.Error(err)
	}
	if _, err := k.Holder(t.Context(), added.Secret); !errors.Is(err, token.ErrToken) {
		t.Errorf("revoked: %v", err)
	}
	uses, err := k.TokenLog(t.Context(), added.ID) // also of one that is gone
	if err != nil || len(uses) != 1 || uses[0].Operation != "openMessage" || len(uses[0].Subject) != 100 {
		t.Errorf("uses %+v, %v", uses, err)
	}
	if _, err := k.TokenLog(t.Context(), "zaaksysteem"); !errors.Is(err, desk.ErrUnknownToken) {
		t.Errorf("log of no token: %v", err)
	}
}

// refused tries requests that are each wrong in one way.
func refused(t *testing.T, k *token.Keeper, chain *schakeltest.Chain, good desk.TokenRequest) {
	t.Helper()
	for name, c := range map[string]struct {
		change func(*desk.TokenRequest)
		want   error
	}{
		"the same name":  {func(r *desk.TokenRequest) { r.Name = "Zaaksysteem" }, desk.ErrSameName},
		"no name":        {func(r *desk.TokenRequest) { r.Name = "" }, desk.ErrRequest},
		"no role":        {func(r *desk.TokenRequest) { r.Roles = nil }, desk.ErrRequest},
		"no scope":       {func(r *desk.TokenRequest) { r.Scopes = nil }, desk.ErrRequest},
		"another role":   {func(r *desk.TokenRequest) { r.Roles = []desk.Role{"root"} }, desk.ErrRole},
		"another scope":  {func(r *desk.TokenRequest) { r.Scopes = []string{"*"} }, desk.ErrScope},
		"another person": {func(r *desk.TokenRequest) { r.Person = "N. Acht" }, schakel.ErrUnknownPerson},
		"expired":        {func(r *desk.TokenRequest) { r.Expires = chain.Now() }, desk.ErrRequest},
		"for ever":       {func(r *desk.TokenRequest) { r.Expires = chain.Now().AddDate(3, 0, 0) }, desk.ErrRequest},
	} {
		r := good
		r.Name = "ander"
		c.change(&r)
		if _, err := k.AddToken(t.Context(), r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestATokenEndsWithItsPerson: who leaves takes the programs along.
func TestATokenEndsWithItsPerson(t *testing.T) {
	chain := schakeltest.New(t)
	m := chain.Join("vt20/crisis", identity.RoleVeiligThuis)
	person := m.AddPerson("P. Iket")
	people := &staff{all: []schakel.Person{person}}
	k := token.New(token.Config{Store: m.Store(), People: people, Now: chain.Now})
	added, err := k.AddToken(t.Context(), desk.TokenRequest{Name: "x", Roles: []desk.Role{"piket"}, Scopes: []string{"drafts"}, Person: "P. Iket", Expires: chain.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Holder(t.Context(), added.Secret); err != nil {
		t.Errorf("control: %v", err)
	}
	people.all = nil
	if _, err := k.Holder(t.Context(), added.Secret); !errors.Is(err, token.ErrToken) {
		t.Errorf("the person left: %v", err)
	}
}

type staff struct{ all []schakel.Person }

func (s *staff) Persons(context.Context) ([]schakel.Person, error) { return s.all, nil }

func FuzzParse(f *testing.F) {
	f.Add(token.Format([]byte{1, 2, 3, 4, 5, 6, 7, 8}, make([]byte, 32)))
	f.Add("schakel_")
	f.Fuzz(func(t *testing.T, secret string) {
		id, random, err := token.Parse(secret)
		if err == nil && (len(id) != 8 || len(random) != 32 || token.Format(id, random) != secret) {
			t.Errorf("%q is read as %x, %x", secret, id, random)
		}
	})
}
