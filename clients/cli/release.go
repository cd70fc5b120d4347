package cli

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"schakel/clients/release"
	"schakel/clients/store/vault"
)

// listFile is the signed list beside the programs of a release.
const listFile = "release.txt"

func (a *app) releaseCommand() *cobra.Command {
	return noun("release", "The programs of a release: sign their list, and verify a program against it",
		a.releaseKeyCommand(), a.releaseSignCommand(), a.releaseVerifyCommand())
}

func (a *app) releaseKeyCommand() *cobra.Command {
	var name, out, phrase string
	c := &cobra.Command{
		Use: "key", Short: "Make the key of who releases, and print what others pin of it",
		Long: "Writes the secret key to a file that is never replaced, and prints the verifier key. Publish that\n" +
			"line where people look it up who do not have it from you: administrators pin it (release-key).\n" +
			"Keep the file on a medium that is not in the machine that builds.",
		Example: "  schakel release key --name schakel.example/releases --out /media/release.key --key-passphrase-file phrase",
		Args:    arguments(),
		RunE:    func(*cobra.Command, []string) error { return a.releaseKey(name, out, phrase) },
	}
	c.Flags().StringVar(&name, "name", "", "name of who releases: a-z, 0-9 and . / - _, such as schakel.example/releases")
	c.Flags().StringVar(&out, "out", "", "where the secret key goes")
	c.Flags().StringVar(&phrase, "key-passphrase-file", "", "file with a passphrase to wrap the key under")
	return c
}

func (a *app) releaseKey(name, out, phraseFile string) error {
	if name == "" || out == "" {
		return usage(errors.New("--name and --out are needed"))
	}
	secretKey, verifier, err := release.NewKey(name)
	if err != nil {
		return usage(err)
	}
	content := []byte(secretKey + "\n")
	if phraseFile != "" {
		phrase, err := a.read(secret{what: "passphrase of the release key", file: phraseFile})
		if err != nil {
			return err
		}
		if content, err = vault.Lock(content, phrase, 0); err != nil {
			return err
		}
	}
	if err := writeNew(out, content, 0o600); err != nil {
		return err
	}
	a.printf("%s\n", verifier)
	return nil
}

type releaseSignFlags struct{ key, phrase, version, commit string }

func (a *app) releaseSignCommand() *cobra.Command {
	var f releaseSignFlags
	c := &cobra.Command{
		Use: "sign FOLDER", Short: "Sign the list of the programs in a folder",
		Long: "Writes " + listFile + " into the folder: the SHA-256 of every program in it, the version, the commit\n" +
			"and the version of Go, as a signed note (c2sp.org/signed-note). It takes programs of Schakel only,\n" +
			"built by one version of Go without paths of the machine. `make release` calls it.",
		Example: "  schakel release sign dist --key /media/release.key --version v1.0.0 --commit \"$(git rev-parse HEAD)\"",
		Args:    arguments("FOLDER"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.releaseSign(f, args[0]) },
	}
	c.Flags().StringVar(&f.key, "key", "", "file of `schakel release key`")
	c.Flags().StringVar(&f.phrase, "key-passphrase-file", "", "file with the passphrase of that key")
	c.Flags().StringVar(&f.version, "version", "", "what is released, such as v1.0.0")
	c.Flags().StringVar(&f.commit, "commit", "", "the commit that was built, 40 hexadecimal digits")
	return c
}

func (a *app) releaseSign(f releaseSignFlags, folder string) error {
	if f.key == "" || f.version == "" || f.commit == "" {
		return usage(errors.New("--key, --version and --commit are needed"))
	}
	secretKey, err := a.readReleaseKey(f)
	if err != nil {
		return err
	}
	list := release.List{Version: f.version, Commit: f.commit}
	root := os.DirFS(folder)
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		goVersion, err := builtForRelease(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if list.Go != "" && list.Go != goVersion {
			return fmt.Errorf("%w: %s was built by %s, others by %s", errRefused, name, goVersion, list.Go)
		}
		list.Go = goVersion
		file := release.File{Name: name}
		file.Size, file.Hash, err = hashFile(filepath.Join(folder, filepath.FromSlash(name)))
		list.Files = append(list.Files, file)
		return err
	})
	if err != nil {
		return fmt.Errorf("failed to list %s: %w", folder, err)
	}
	signed, err := list.Sign(secretKey)
	if err != nil {
		return usage(err)
	}
	if err := writeNew(filepath.Join(folder, listFile), signed, 0o644); err != nil {
		return err
	}
	a.printf("%s", list.Text())
	return nil
}

func (a *app) readReleaseKey(f releaseSignFlags) (string, error) {
	content, err := readSecretFile(f.key, "release key", 0o077)
	if err != nil {
		return "", err
	}
	if !bytes.HasPrefix(content, []byte(ageHeading)) {
		return string(content), nil
	}
	phrase, err := a.read(secret{what: "passphrase of " + f.key, file: f.phrase, flag: "key-passphrase-file", credential: "schakel-release-passphrase"})
	if err != nil {
		return "", err
	}
	content, err = vault.Unlock(content, phrase)
	return string(content), err
}

// builtForRelease returns the version of Go that built a program, and refuses what nobody
// can build again from the commit alone.
func builtForRelease(path string) (goVersion string, err error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w: no program built by Go: %w", errRefused, err)
	}
	if !strings.HasPrefix(info.Path, "schakel/cmd/") {
		return "", fmt.Errorf("%w: it is %s, no program of Schakel", errRefused, info.Path)
	}
	want := map[string]string{"-trimpath": "true", "CGO_ENABLED": "0"}
	for _, s := range info.Settings {
		if want[s.Key] == s.Value {
			delete(want, s.Key)
		}
	}
	if len(want) > 0 {
		return "", fmt.Errorf("%w: not built as releases are: see `make release`", errRefused)
	}
	return info.GoVersion, nil
}

// hashFile reads a program, of release.MaxProgram bytes at most.
func hashFile(path string) (size int64, hash [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, hash, fmt.Errorf("failed to open: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, io.LimitReader(f, release.MaxProgram+1))
	if err != nil {
		return 0, hash, fmt.Errorf("failed to read %s: %w", path, err)
	}
	if size > release.MaxProgram {
		return 0, hash, fmt.Errorf("%w: %s is larger than %d bytes", errRefused, path, release.MaxProgram)
	}
	return size, [sha256.Size]byte(h.Sum(nil)), nil
}
