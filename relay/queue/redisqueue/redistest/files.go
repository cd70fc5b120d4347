package redistest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"schakel/configs"
)

// kind is which of the shipped configurations a server starts with.
type kind struct {
	file string
	with map[string][]byte // the file and what it includes, by name
}

var (
	single     = kind{"redis.conf", map[string][]byte{"redis.conf": configs.RedisConf}}
	replicated = kind{"replicated.conf", map[string][]byte{"redis.conf": configs.RedisConf, "replicated.conf": configs.RedisReplicated}}
	clustered  = kind{"cluster.conf", map[string][]byte{
		"redis.conf": configs.RedisConf, "replicated.conf": configs.RedisReplicated, "cluster.conf": configs.RedisCluster,
	}}
	sentinel = kind{"sentinel.conf", map[string][]byte{"sentinel.conf": configs.RedisSentinel}}
)

// write puts the configuration into dir, with no changes but those that depend on
// the machine and the settings.
func (k kind) write(dir, password string, port int, settings []string) error {
	settings = append([]string{
		"port", strconv.Itoa(port), "bind", "127.0.0.1", "logfile", filepath.Join(dir, "redis.log"),
	}, settings...)
	err := os.WriteFile(filepath.Join(dir, "users.acl"), here(configs.RedisUsers, dir, password), 0o600)
	for name, shipped := range k.with {
		conf := without(here(shipped, dir, password), settings)
		if name == k.file {
			conf = append(conf, lines(settings)...)
		}
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), conf, 0o600))
	}
	return err
}

// The words that stand in the shipped files where an operator's belong.
var (
	hash = regexp.MustCompile(`\b[A-Z]+-PASSWORD-SHA256\b`)
	word = regexp.MustCompile(`\b[A-Z]+-PASSWORD\b`)
)

// here puts the places of this machine, and one password for all users, where the
// shipped files leave them to the operator.
func here(shipped []byte, dir, password string) []byte {
	sum := sha256.Sum256([]byte(password))
	conf := hash.ReplaceAll(shipped, []byte(hex.EncodeToString(sum[:])))
	conf = word.ReplaceAll(conf, []byte(password))
	conf = bytes.ReplaceAll(conf, []byte("/etc/schakel/"), []byte(dir+"/"))
	return bytes.ReplaceAll(conf, []byte("/var/lib/schakel-redis"), []byte(dir))
}

// without leaves out the lines of settings that are given otherwise.
func without(conf []byte, settings []string) []byte {
	var kept []byte
	for line := range bytes.Lines(conf) {
		given := false
		for i := 0; i+1 < len(settings); i += 2 {
			given = given || bytes.HasPrefix(line, []byte(settings[i]+" "))
		}
		if !given {
			kept = append(kept, line...)
		}
	}
	return kept
}

func lines(settings []string) (all []byte) {
	for i := 0; i+1 < len(settings); i += 2 {
		all = append(all, settings[i]+" "+settings[i+1]+"\n"...)
	}
	return all
}

// passwordOf reads the password of a folder, or makes folder and password. Servers
// that work together lie side by side in a folder, and have the password of that.
func passwordOf(dir string) (string, error) {
	path := filepath.Join(dir, "password")
	kept, err := os.ReadFile(path)
	if err == nil {
		return string(kept), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	password := rand.Text()
	return password, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(path, []byte(password), 0o600))
}
