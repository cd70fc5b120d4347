package cli

import (
	"context"
	"fmt"
	"time"

	"schakel/clients/schakel"
)

// recoveryAge is how long ago the recovery passphrase may have been shown to work.
const recoveryAge = 200 * 24 * time.Hour

func checkBackup(ctx context.Context, s *session, st schakel.Status, now time.Time) check {
	if st.Light {
		return check{"backup", skipped, "a light device keeps nothing that the office does not have", ""}
	}
	safe, err := s.Safety(ctx)
	switch {
	case err != nil:
		return check{"backup", failed, err.Error(), "see the daemon's log"}
	case safe.Backup.IsZero():
		return check{"backup", warning, "none was ever made of this store", "make one with `schakel backup TARGET`, every night and on another machine"}
	}
	evidence := fmt.Sprintf("%s ago, of %d messages", ago(now.Sub(safe.Backup)), safe.Messages)
	if safe.BackupLate {
		return check{"backup", failed, "the latest is from " + evidence, "make one with `schakel backup TARGET`, and find out why the nightly one stopped"}
	}
	return check{"backup", passed, "the latest was made " + evidence, ""}
}

func checkRecovery(ctx context.Context, s *session, st schakel.Status, now time.Time) check {
	if st.Light {
		return check{"recovery", skipped, "a light device has none: its officer's passphrase is the only way", ""}
	}
	const remedy = "take the passphrase out of the safe and run `schakel recovery try`"
	safe, err := s.Safety(ctx)
	switch {
	case err != nil:
		return check{"recovery", failed, err.Error(), "see the daemon's log"}
	case safe.Recovery.IsZero():
		return check{"recovery", warning, "nobody has shown yet that the passphrase on paper opens this store", remedy}
	case now.Sub(safe.Recovery) > recoveryAge:
		return check{"recovery", warning, "the passphrase was last shown to work " + ago(now.Sub(safe.Recovery)) + " ago", remedy}
	}
	return check{"recovery", passed, "the passphrase was shown to work " + ago(now.Sub(safe.Recovery)) + " ago", ""}
}

// ago is a length of time as one says it.
func ago(d time.Duration) string {
	if days := int(d / (24 * time.Hour)); days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return fmt.Sprintf("%d hours", int(d/time.Hour))
}
