package schakeltest

import (
	"context"
	"fmt"

	"schakel/crypto/identity"
	"schakel/crypto/trust"
)

// Revoke ends a desk by the root's word. The relay must run.
func (c *Chain) Revoke(desk identity.DeskID) {
	c.t.Helper()
	s := trust.Desk{ID: desk}.Subject()
	entry, err := trust.Revoke{Of: s, Reason: trust.ReasonRetired, Effective: c.Now()}.Sign(c.register.Register().Next(s), trust.ByRoot(c.root))
	ok(c.t, err)
	c.append(entry)
}

// Grow enters n organisations that do nothing, for registers of more than one
// piece. The relay must run.
func (c *Chain) Grow(n int) {
	c.t.Helper()
	for i := range n {
		org := trust.Org{ID: identity.OrgID(fmt.Sprintf("org-%d", i)), Name: "Test", OIN: "00000099000000000000",
			Key: newSigner(c.t).Public(), Status: trust.OrgActive}
		entry, err := org.Sign(trust.First(), c.root)
		ok(c.t, err)
		c.append(entry)
	}
}

func (c *Chain) append(entry []byte) {
	c.t.Helper()
	_, err := c.register.Append(context.Background(), entry, nil, c.Now())
	ok(c.t, err)
}
