package seal_test

import (
	"crypto/rand"
	"fmt"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

// One device of vt20/crisis seals a test delivery to the one device of
// knooppunt/piket, which opens it. In earnest the recipient string comes from the
// relay, checked against the hash in the register by [seal.Recipients.Add], and
// the sealing device's key comes from the register.
func Example() {
	sender, err := seal.NewDeviceKeys(identity.DeviceID{1}, rand.Reader)
	if err != nil {
		panic(err)
	}
	epochKey, err := seal.NewEpochKey(20_775)
	if err != nil {
		panic(err)
	}
	recipient, err := seal.ParseRecipient(epochKey.Recipient())
	if err != nil {
		panic(err)
	}

	raw, err := seal.Seal(seal.Parcel{
		ID: envelope.ID{2}, Desk: "knooppunt/piket", Created: 1_795_000_000, Expires: 1_795_086_400,
		Targets:  []seal.Target{{Device: identity.DeviceID{3}, Epoch: 20_775, Recipient: recipient}},
		Delivery: delivery.Delivery{Kind: delivery.KindTest, Content: []byte("proefbericht")},
	}, sender)
	if err != nil {
		panic(err)
	}

	lock := seal.Lock{
		Desk: "knooppunt/piket", Device: identity.DeviceID{3},
		Epoch:  func(uint64) (*seal.EpochKey, error) { return epochKey, nil },
		Sealer: func(identity.DeviceID) (identity.Key, error) { return sender.SignPublic(), nil },
	}
	opened, err := seal.Open(raw, lock)
	fmt.Println(string(opened.Delivery.Content), err)

	raw[len(raw)-1] ^= 1 // what the relay changes, nobody opens
	_, err = seal.Open(raw, lock)
	fmt.Println(seal.Reason(err))
	// Output:
	// proefbericht <nil>
	// decrypt
}
