package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"schakel/clients/schakel"
)

// checkFiles judges what needs no key: who else can read the device's folder, whether
// the key lies where a copy of the store brings it along, and what room there is.
func (a *app) checkFiles() []check {
	return []check{a.checkPermissions(), a.checkKeyPlace(), a.checkRoom()}
}

// How little room there may be on the disk of the store. At the first the rule
// SchakelDeskDiskFull alarms; at the second there is none for a file of a message.
const (
	littleRoom = 1_000_000_000
	noRoom     = schakel.LeaveFree
)

// checkRoom looks at the disk on which the store lies, before it is full: then nothing
// that comes is taken, and its sender is alarmed instead.
func (a *app) checkRoom() check {
	const remedy = "make room on that disk: when it is full this device takes no message, and its senders are alarmed"
	free, err := a.Free(a.storeFolder())
	evidence := fmt.Sprintf("%d MB free where %s lies", free/1e6, a.storeFolder())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return check{"disk", skipped, "there is no store yet", ""}
	case err != nil:
		return check{"disk", warning, err.Error(), "look by hand: this device needs 1 GB free"}
	case free < noRoom:
		return check{"disk", failed, evidence, remedy}
	case free < littleRoom:
		return check{"disk", warning, evidence, remedy}
	}
	return check{"disk", passed, evidence, ""}
}

func (a *app) checkPermissions() check {
	home := a.settings.get("home")
	var open []string
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return nil // gone while we looked
		}
		private := path != home && filepath.Dir(path) == home && filepath.Ext(path) == ".txt" // the request is public
		if st.Mode().Perm()&0o077 != 0 && !private && d.Type() != fs.ModeSymlink {
			open = append(open, fmt.Sprintf("%s (%04o)", path, st.Mode().Perm()))
		}
		return nil
	})
	switch {
	case err != nil:
		return check{"permissions", failed, err.Error(), "name the right folder with --home"}
	case len(open) > 0:
		return check{"permissions", failed, "others can read " + strings.Join(open[:min(3, len(open))], ", "),
			"chmod -R go-rwx " + home}
	}
	return check{"permissions", passed, "only the owner can read " + home, ""}
}

func (a *app) checkKeyPlace() check {
	key, store := a.settings.get("key-file"), a.storeFolder()
	if _, err := os.Lstat(key); err != nil {
		return check{"key file", passed, "none: the key comes from systemd or the passphrase", ""}
	}
	rel, err := filepath.Rel(filepath.Dir(store), key)
	if err == nil && !strings.HasPrefix(rel, "..") {
		return check{"key file", warning, key + " lies beside the store: whoever copies the folder has both",
			"move it to another disk and name it with --key-file, or use systemd credentials"}
	}
	return check{"key file", passed, key + " lies apart from the store", ""}
}
