package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"schakel/clients/desk"
	"schakel/clients/desk/sheets"
	"schakel/clients/schakel"
	"schakel/clients/store"
	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

const maxUsers = 500

// Users implements desk.Entrance.
func (d *Door) Users(ctx context.Context) ([]desk.User, error) {
	rows, err := d.rows(ctx)
	out := []desk.User{}
	for _, r := range rows {
		out = append(out, userOf(r))
	}
	return out, err
}

func (d *Door) rows(ctx context.Context) (rows []store.User, err error) {
	err = d.store.View(ctx, func(tx *store.Tx) error {
		rows, err = tx.Users()
		return err
	})
	return rows, err
}

// Link implements desk.Entrance. A second link for a user ends the first.
func (d *Door) Link(ctx context.Context, r desk.LinkRequest) (desk.Link, error) {
	row, err := d.invited(ctx, r)
	if err != nil {
		return desk.Link{}, err
	}
	if err := d.note(ctx, "web-link", row.ID, row.Person); err != nil {
		return desk.Link{}, err
	}
	s, h := secret()
	until := d.now().Add(linkLife)
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, l := range d.links {
		if l.user == row.ID || !l.until.After(d.now()) || len(d.links) >= maxLinks {
			delete(d.links, k)
		}
	}
	d.links[h] = link{row.ID, until, r.Locked && !row.Person.IsZero()}
	return desk.Link{URL: d.base + "/enter/" + s, User: userOf(row), Until: until.UTC()}, nil
}

// invited finds the user that a link is for, or makes that user.
func (d *Door) invited(ctx context.Context, r desk.LinkRequest) (store.User, error) {
	rows, err := d.rows(ctx)
	if err != nil {
		return store.User{}, err
	}
	if r.Name == "" && r.Person == "" && len(rows) == 1 && len(r.Roles) == 0 {
		return rows[0], nil
	}
	person, err := d.signer(ctx, r, len(rows) == 0)
	if err != nil {
		return store.User{}, err
	}
	row := store.User{Name: r.Name, Person: person.ID}
	if row.Name == "" {
		row.Name = person.Name
	}
	i := slices.IndexFunc(rows, func(u store.User) bool {
		return strings.EqualFold(u.Name, row.Name) || !u.Person.IsZero() && u.Person == person.ID
	})
	switch {
	case i >= 0 && len(r.Roles) == 0:
		return rows[i], nil
	case i >= 0:
		row = rows[i] // the same user, as something else
	case row.Name == "" && len(rows) > 0:
		return row, fmt.Errorf("%w: say who with --name or --person", desk.ErrUnknownUser)
	case row.Name == "":
		row.Name = "eigenaar"
	case len(r.Roles) == 0 && len(rows) > 0:
		return row, fmt.Errorf("%w: %.80q is new here: say as what, with --role", desk.ErrUnknownUser, row.Name)
	case len(rows) >= maxUsers:
		return row, fmt.Errorf("%w: at most %d users", desk.ErrRequest, maxUsers)
	}
	return d.keep(ctx, row, r.Roles)
}

// signer is the person that a user signs as. On a device where nobody has opened the
// web desk and one person signs, it is that one.
func (d *Door) signer(ctx context.Context, r desk.LinkRequest, first bool) (schakel.Person, error) {
	if r.Person != "" {
		return d.person(ctx, r.Person)
	}
	all, err := d.people.Persons(ctx)
	if err != nil || !first || r.Name != "" || len(all) != 1 {
		return schakel.Person{}, err
	}
	return all[0], nil
}

func (d *Door) person(ctx context.Context, who string) (schakel.Person, error) {
	all, err := d.people.Persons(ctx)
	if err != nil {
		return schakel.Person{}, err
	}
	for _, p := range all {
		if p.ID.String() == who || strings.EqualFold(p.Name, who) {
			return p, nil
		}
	}
	return schakel.Person{}, fmt.Errorf("%w: %.80q", schakel.ErrUnknownPerson, who)
}

// keep stores a user with those roles; without any, the first user has all of them: it
// is whoever set up this device.
func (d *Door) keep(ctx context.Context, row store.User, roles []desk.Role) (store.User, error) {
	if len(roles) == 0 {
		roles = desk.Roles()
	}
	row.Roles = nil
	for _, r := range roles {
		if !slices.Contains(desk.Roles(), r) {
			return row, fmt.Errorf("%w: %.40q", desk.ErrRole, r)
		}
		row.Roles = append(row.Roles, string(r))
	}
	if row.ID == ([16]byte{}) {
		id, err := identity.NewUUIDv7(d.now(), rand.Reader)
		if err != nil {
			return row, err
		}
		row.ID = id
	}
	err := d.store.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.SetUser(row), tx.Audit("web-user", identity.FormatUUID(row.ID), row.Person, d.now()))
	})
	return row, err
}

// named is the user of that name or identifier, and all users.
func (d *Door) named(ctx context.Context, who string) (store.User, []store.User, error) {
	rows, err := d.rows(ctx)
	if err != nil {
		return store.User{}, nil, err
	}
	i := slices.IndexFunc(rows, func(u store.User) bool { return identity.FormatUUID(u.ID) == who || strings.EqualFold(u.Name, who) })
	if i < 0 {
		return store.User{}, rows, fmt.Errorf("%w: %.80q", desk.ErrUnknownUser, who)
	}
	return rows[i], rows, nil
}

// RemoveUser implements desk.Entrance. The sessions go first: whatever fails after that,
// nobody is in any more.
func (d *Door) RemoveUser(ctx context.Context, who string) error {
	row, _, err := d.named(ctx, who)
	if err != nil {
		return err
	}
	d.endAll(row.ID)
	err = d.store.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.DeleteUser(row.ID), sheets.Forget(tx, identity.FormatUUID(row.ID)), tx.Audit("web-user-removed", identity.FormatUUID(row.ID), row.Person, d.now()))
	})
	if err != nil || row.Person.IsZero() {
		return err
	}
	if err := d.people.Revoke(ctx, trust.Person{ID: row.Person}.Subject(), trust.ReasonRetired); err != nil {
		return fmt.Errorf("the user is gone; failed to revoke the person key %s: %w", row.Person, err)
	}
	return nil
}
