package oracles_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"schakel/crypto/delivery"
	"schakel/crypto/envelope"
	"schakel/crypto/identity"
	"schakel/crypto/seal"
)

// TestAgeCLI exports the age part of an envelope to a file and opens it with the
// stock age program, built at the version that we use, and each device's identity.
// What comes out is the delivery that we sealed. The control is another identity.
func TestAgeCLI(t *testing.T) {
	program, dir := buildAge(t)
	for _, size := range []int{10, 5_000, 200_000} {
		content := bytes.Repeat([]byte("o"), size)
		keys, raw := sealed(t, content)
		e, err := envelope.Parse(raw)
		must(t, err)
		file := filepath.Join(dir, "delivery.age")
		must(t, os.WriteFile(file, e.Sealed, 0o600))
		for _, k := range keys {
			plain, err := decrypt(t, program, dir, k.Secret(), file)
			must(t, err)
			signed := plain[4 : 4+binary.BigEndian.Uint32(plain)]
			d, err := delivery.Verify(signed, e.Prefix, sender.SignPublic())
			must(t, err)
			if !bytes.Equal(d.Content, content) || len(plain) < 4096 {
				t.Errorf("age gives %d bytes, %d of content", len(plain), len(d.Content))
			}
		}
		other, err := seal.NewEpochKey(1)
		must(t, err)
		if _, err := decrypt(t, program, dir, other.Secret(), file); err == nil {
			t.Error("age opened it with another identity")
		}
	}
}

// TestAgeCLIWrites has the age program seal to our recipient: the strict identity
// opens that too.
func TestAgeCLIWrites(t *testing.T) {
	program, _ := buildAge(t)
	key, err := seal.NewEpochKey(1)
	must(t, err)
	encrypt := exec.Command(program, "-r", key.Recipient())
	encrypt.Stdin = bytes.NewReader([]byte("verzonnen"))
	file, err := encrypt.Output()
	must(t, err)
	id, err := key.Identity(0, 1)
	must(t, err)
	if plain, err := readAll(file, id); err != nil || string(plain) != "verzonnen" {
		t.Errorf("opens to %q, %v", plain, err)
	}
}

// buildAge builds the stock age program; Debian's is too old for hybrid keys.
func buildAge(t *testing.T) (program, dir string) {
	t.Helper()
	dir = t.TempDir()
	program = filepath.Join(dir, "age")
	out, err := exec.Command("go", "build", "-o", program, "filippo.io/age/cmd/age").CombinedOutput()
	if err != nil {
		t.Fatalf("failed to build age: %v\n%s", err, out)
	}
	return program, dir
}

func decrypt(t *testing.T, program, dir, secret, file string) ([]byte, error) {
	t.Helper()
	identity := filepath.Join(dir, "identity.txt")
	must(t, os.WriteFile(identity, []byte(secret+"\n"), 0o600))
	return exec.Command(program, "-d", "-i", identity, file).Output()
}

var sender = must1(seal.NewDeviceKeys(identity.DeviceID{1}, rand.Reader))

func must1[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// sealed is an envelope for two devices, with their keys.
func sealed(t *testing.T, content []byte) (keys []*seal.EpochKey, raw []byte) {
	t.Helper()
	p := seal.Parcel{
		ID: envelope.ID{1}, Desk: "knooppunt/piket", Created: 1_795_000_000, Expires: 1_795_000_100,
		Delivery: delivery.Delivery{Kind: delivery.KindTest, Content: content},
	}
	for i := range byte(2) {
		k, err := seal.NewEpochKey(1)
		must(t, err)
		r, err := seal.ParseRecipient(k.Recipient())
		must(t, err)
		keys = append(keys, k)
		p.Targets = append(p.Targets, seal.Target{Device: identity.DeviceID{i + 1}, Epoch: 1, Recipient: r})
	}
	raw, err := seal.Seal(p, sender)
	must(t, err)
	return keys, raw
}
