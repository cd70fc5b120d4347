package schakeltest

import (
	"bytes"
	"context"

	"schakel/clients/schakel"
	"schakel/clients/store"
)

// Backup is a backup of the device as it is now.
func (m *Member) Backup() []byte {
	m.chain.t.Helper()
	var out bytes.Buffer
	_, err := m.Node.Backup(context.Background(), &out)
	ok(m.chain.t, err)
	return out.Bytes()
}

// Restored unpacks a backup of a device of the member's desk, in a place of its own. It is
// no device yet: see Rejoin.
func (m *Member) Restored(backup []byte) *Member {
	m.chain.t.Helper()
	r := &Member{Desk: m.Desk, chain: m.chain, dir: m.chain.t.TempDir() + "/store"}
	var err error
	r.store, _, err = store.Restore(context.Background(), bytes.NewReader(backup), r.dir, store.RestoreOptions{Phrase: phrase, Keys: r.ways()[:1]})
	ok(m.chain.t, err)
	m.chain.t.Cleanup(func() { r.Stop(); r.store.Close() })
	return r
}

// Rejoin makes a restored store that of a new device, as `schakel restore` does; it can be
// called again. The request is for a device with the organisation's key, where this one has
// none.
func (m *Member) Rejoin(ctx context.Context) (request []byte, err error) {
	m.chain.t.Helper()
	if request, err = schakel.BeginAgain(ctx, m.store, m.chain.Now()); err != nil {
		return nil, err
	}
	if err := schakel.Rejoin(ctx, schakel.Config{Store: m.store, Now: m.now, Log: m.chain.Log, PINWork: 4, CoolingOff: m.coolingOff()}); err != nil {
		return request, err
	}
	m.open()
	return request, nil
}
