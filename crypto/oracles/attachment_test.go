package oracles_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"schakel/crypto/seal"
)

// TestAgeCLIAttachment opens a sealed attachment with the stock age program and the one-time
// identity that the message carries: its content comes first, and zeros follow. The control
// is another identity.
func TestAgeCLIAttachment(t *testing.T) {
	program, dir := buildAge(t)
	for _, size := range []int{0, 10, 70_000} {
		content := bytes.Repeat([]byte("o"), size)
		var sealed bytes.Buffer
		s, err := seal.SealAttachment(&sealed, bytes.NewReader(content))
		must(t, err)
		file := filepath.Join(dir, "attachment.age")
		must(t, os.WriteFile(file, sealed.Bytes(), 0o600))
		plain, err := decrypt(t, program, dir, s.Identity, file)
		must(t, err)
		if !bytes.Equal(plain[:size], content) || len(bytes.Trim(plain[size:], "\x00")) > 0 {
			t.Errorf("age gives %d bytes for %d", len(plain), size)
		}
		other, err := seal.NewEpochKey(1)
		must(t, err)
		if _, err := decrypt(t, program, dir, other.Secret(), file); err == nil {
			t.Error("age opened it with another identity")
		}
	}
}
