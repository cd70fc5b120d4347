package web_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"schakel/clients/desk"
	"schakel/clients/desk/web/webtest"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/message"
)

// sent puts a message of the office into its store that one desk has come so far with.
func sent(t *testing.T, o *webtest.Office, class string, urgency message.Urgency, at time.Time, state store.RecipientState) string {
	t.Helper()
	m := store.Message{Case: message.CaseRef{1}, Direction: store.Out, Class: class, Urgency: urgency, Peer: o.Member.Desk, Created: at, Raw: make([]byte, 200)}
	_, _ = rand.Read(m.Hash[:])
	id, err := identity.NewUUIDv7(at, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m.ID = id
	err = o.Member.Store().Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.SaveMessage(m); err != nil {
			return err
		}
		if err := tx.AddRecipient(m.Hash, "politie-mn/oc", at, at); err != nil {
			return err
		}
		return tx.SetRecipient(m.Hash, "politie-mn/oc", state, at, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Hash.String()
}

// TestWhatOthersMustTakeIsNotHidden: an old message that nobody took stands below more
// than a page of newer ones that were taken, and below those that ask nobody to.
func TestWhatOthersMustTakeIsNotHidden(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	const nothing = "Anderen hebben alles bevestigd"
	now := o.Chain.Now()
	for i := range 60 {
		sent(t, o, "melding", message.Urgent, now.Add(time.Duration(i)*time.Second), store.Acknowledged)
	}
	sent(t, o, "afsluiting", message.Info, now, store.Delivered)
	for _, path := range []string{"/inbox", "/inbox?part=them"} {
		contains(t, b.Get(path), nothing) // control: all of these were taken, or need not be
	}
	old := sent(t, o, "melding", message.Urgent, now.Add(-time.Hour), store.Delivered)
	failed := sent(t, o, "afsluiting", message.Info, now, store.Failed)
	for _, path := range []string{"/inbox", "/inbox?part=them"} {
		page := b.Get(path)
		contains(t, page, "/messages/"+old, "/messages/"+failed)
		if strings.Contains(page.Body, nothing) {
			t.Errorf("%s says that others took everything", path)
		}
	}
}

// TestPagesOfWhatOthersMustTake: every one of more than a page is on some page, once.
func TestPagesOfWhatOthersMustTake(t *testing.T) {
	o := webtest.Open(t, webtest.Options{})
	b := o.User("P. Iket", desk.RoleCaseWorker)
	waiting := map[string]int{}
	for i := range 140 {
		at, state := o.Chain.Now().Add(-time.Duration(i)*time.Second), store.Acknowledged
		if i%2 == 0 {
			state = store.Delivered
		}
		if hash := sent(t, o, "melding", message.Urgent, at, state); state == store.Delivered {
			waiting[hash] = 0
		}
	}
	contains(t, b.Get("/inbox"), "/inbox?part=them")
	pages := 0
	for path := "/inbox?part=them"; path != ""; pages++ {
		page := b.Get(path).Body
		for hash := range waiting {
			waiting[hash] += strings.Count(page, `"/messages/`+hash+`"`)
		}
		before, _, more := strings.Cut(page, `">Volgende`)
		path = ""
		if more {
			path = strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+len(`href="`):], "&amp;", "&")
		}
	}
	for hash, times := range waiting {
		if times != 1 {
			t.Errorf("%.8s is there %d times", hash, times)
		}
	}
	if pages != 2 {
		t.Errorf("%d pages of %d messages", pages, len(waiting))
	}
}
