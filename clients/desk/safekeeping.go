package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"schakel/clients/schakel"
)

// Safekeeper makes backups, and keeps the recovery passphrase known to work.
type Safekeeper interface {
	Backup(ctx context.Context, w io.Writer) (schakel.Backup, error)
	NoteBackup(ctx context.Context, b schakel.Backup) error
	Safety(ctx context.Context) (schakel.Safety, error)
	TryRecovery(ctx context.Context, phrase string) error
	SetRecovery(ctx context.Context, phrase string) error
}

// ErrCutShort is wrapped when a backup did not come over whole.
var ErrCutShort = errors.New("the backup was cut short: nothing of it is worth keeping")

// trailerBackup says what a backup holds, after it: a body without it is not whole.
const trailerBackup = "Schakel-Backup"

// backupTime bounds each piece of a backup on its way.
const backupTime = 5 * time.Minute

func (s *Service) backup(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	out := NewSlowly(w, backupTime, func(h http.Header) {
		h.Set("Content-Type", "application/x-tar")
		h.Set("API-Version", APIVersion)
		h.Set("Cache-Control", "no-store")
		h.Set("Trailer", trailerBackup)
	})
	b, err := s.node.Backup(r.Context(), out)
	if err != nil {
		if !out.Begun() {
			refuse(w, err)
		}
		return // without its trailer the caller keeps nothing
	}
	line, err := json.Marshal(b)
	if err == nil {
		h.Set(trailerBackup, string(line))
	}
}

func (s *Service) noteBackup(r *http.Request) (struct{}, error) {
	b, err := decode[schakel.Backup](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.NoteBackup(r.Context(), b)
}

func (s *Service) safety(r *http.Request) (schakel.Safety, error) { return s.node.Safety(r.Context()) }

// recoveryPhrase is a recovery passphrase on its way to be tried, or to become the one.
type recoveryPhrase struct {
	Passphrase string `json:"passphrase"`
}

func (s *Service) tryRecovery(r *http.Request) (struct{}, error) {
	in, err := decode[recoveryPhrase](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.TryRecovery(r.Context(), in.Passphrase)
}

func (s *Service) setRecovery(r *http.Request) (struct{}, error) {
	in, err := decode[recoveryPhrase](r)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, s.node.SetRecovery(r.Context(), in.Passphrase)
}

// Backup implements Safekeeper.
func (c *Client) Backup(ctx context.Context, w io.Writer) (b schakel.Backup, err error) {
	resp, err := c.request(ctx, "GET", "/v1/backup", nil)
	if err != nil {
		return b, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p := Problem{Status: resp.StatusCode, Code: "internal", Title: resp.Status}
		_ = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p)
		return b, &p
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return b, fmt.Errorf("%w: %w", ErrCutShort, err)
	}
	if err := json.Unmarshal([]byte(resp.Trailer.Get(trailerBackup)), &b); err != nil {
		return b, fmt.Errorf("%w: see the daemon's log", ErrCutShort)
	}
	return b, nil
}

// NoteBackup implements Safekeeper.
func (c *Client) NoteBackup(ctx context.Context, b schakel.Backup) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/backup/kept", b)
	return err
}

// Safety implements Safekeeper.
func (c *Client) Safety(ctx context.Context) (schakel.Safety, error) {
	return ask[schakel.Safety](ctx, c, "GET", "/v1/safety", nil)
}

// TryRecovery implements Safekeeper.
func (c *Client) TryRecovery(ctx context.Context, phrase string) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/recovery/trial", recoveryPhrase{phrase})
	return err
}

// SetRecovery implements Safekeeper.
func (c *Client) SetRecovery(ctx context.Context, phrase string) error {
	_, err := ask[struct{}](ctx, c, "POST", "/v1/recovery", recoveryPhrase{phrase})
	return err
}

// safekeepingRoutes are backups of the store and its recovery passphrase.
func (s *Service) safekeepingRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/backup", s.backup)
	mux.HandleFunc("POST /v1/backup/kept", answer(s.noteBackup))
	mux.HandleFunc("GET /v1/safety", answer(s.safety))
	mux.HandleFunc("POST /v1/recovery/trial", answer(s.tryRecovery))
	mux.HandleFunc("POST /v1/recovery", answer(s.setRecovery))
}

// storeRefusals are those of searching and of restoring.
func storeRefusals() []refusal {
	return []refusal{
		{schakel.ErrNoWords, "no-words", http.StatusBadRequest, "No words to look for", "Geen woorden om te zoeken", "give a word, or the beginning of one"},
		{schakel.ErrRestoring, "restoring", http.StatusConflict, "Restoring is not finished", "Terugzetten is nog niet klaar", "run `schakel restore` without a file, with the relay within reach; where this device does not hold the organisation's key, first vouch for the new device and revoke the old one on the device that does"},
		{schakel.ErrNotRestored, "not-restored", http.StatusConflict, "Nothing is being restored here", "Hier wordt niets teruggezet", ""},
	}
}
