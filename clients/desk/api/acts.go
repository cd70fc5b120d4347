package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"schakel/clients/desk"
)

// holder is what a program may hear of its token.
type holder struct {
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Roles   []desk.Role `json:"roles"`
	Scopes  []string    `json:"scopes"`
	Person  string      `json:"person,omitempty"`
	Expires time.Time   `json:"expires"`
}

// acts are what does each operation of the contract.
func acts() map[string]act {
	all := map[string]act{
		"getContract": func(*Site, *call) (answer, error) { return answer{file: contract, media: "application/json"}, nil },
		"getToken": func(_ *Site, c *call) (answer, error) {
			return answer{value: holder{c.token.ID, c.token.Name, c.token.Roles, c.token.Scopes, c.token.Person, c.token.Expires}}, nil
		},
		"listEvents": listEvents,
	}
	for _, some := range []map[string]act{deskActs(), messageActs(), caseActs(), draftActs(), onCallActs(), attachmentActs()} {
		for id, do := range some {
			all[id] = do
		}
	}
	return all
}

// get is an act that answers with what the node says.
func get[T any](f func(desk.Node, context.Context) (T, error)) act {
	return func(_ *Site, c *call) (answer, error) {
		v, err := f(c.node, c.Context())
		return answer{value: v}, err
	}
}

// take is an act that reads a body and answers with what the node says.
func take[B, T any](f func(c *call, in B) (T, error)) act {
	return func(_ *Site, c *call) (answer, error) {
		in, err := decode[B](c)
		if err != nil {
			return answer{}, err
		}
		v, err := f(c, in)
		return answer{value: v}, err
	}
}

// do is an act that reads a body and answers with nothing.
func do[B any](f func(c *call, in B) error) act {
	return func(_ *Site, c *call) (answer, error) {
		in, err := decode[B](c)
		if err != nil {
			return answer{}, err
		}
		return answer{}, f(c, in)
	}
}

// ask is an act that answers with what f says.
func ask[T any](f func(c *call) (T, error)) act {
	return func(_ *Site, c *call) (answer, error) {
		v, err := f(c)
		return answer{value: v}, err
	}
}

// of makes a method of the node fit a list.
func of[T any](f func(desk.Node, context.Context) ([]T, error)) func(*call) ([]T, error) {
	return func(c *call) ([]T, error) { return f(c.node, c.Context()) }
}

// short names something long.
func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
