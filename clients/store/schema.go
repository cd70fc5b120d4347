package store

import (
	"fmt"
)

// schemaVersion is the newest schema this program reads; PRAGMA user_version
// carries it. Statement i of migrations brings version i to i+1.
const schemaVersion = 9

var migrations = [schemaVersion]string{schemaV1, schemaV2, schemaProofs, schemaRestricted, schemaPages, schemaUsers, schemaAgain, schemaShelves, schemaAttachments}

// Columns that index or count stand in clear within the encrypted pages; content
// and secrets stand in a box. A case is called kase: CASE is a word of SQL.
const schemaV1 = `
CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one=1), generation INTEGER NOT NULL, box BLOB NOT NULL);
CREATE TABLE seal(kind INTEGER, row BLOB, version INTEGER NOT NULL, PRIMARY KEY(kind,row)) WITHOUT ROWID;

CREATE TABLE setting(name TEXT PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE register(idx INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE epoch(number INTEGER PRIMARY KEY, starts INTEGER NOT NULL, ends INTEGER NOT NULL, box BLOB NOT NULL);
CREATE TABLE person(id BLOB PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE counters(desk TEXT PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE peer(desk TEXT PRIMARY KEY, last_in INTEGER NOT NULL DEFAULT 0, last_out INTEGER NOT NULL DEFAULT 0,
  stated_in INTEGER NOT NULL DEFAULT 0, stated_out INTEGER NOT NULL DEFAULT 0, next_in INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE stated(device BLOB PRIMARY KEY, desk TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE status(desk TEXT, message BLOB, received INTEGER NOT NULL, opened INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
  rejected INTEGER NOT NULL, rule TEXT NOT NULL DEFAULT '', change INTEGER NOT NULL, carried INTEGER NOT NULL DEFAULT 0, carried_change INTEGER NOT NULL DEFAULT 0,
  confirmed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(desk,message)) WITHOUT ROWID;
CREATE INDEX status_open ON status(desk,change) WHERE confirmed<change;

CREATE TABLE arriving(device BLOB PRIMARY KEY, desk TEXT NOT NULL, first INTEGER NOT NULL, first_at INTEGER NOT NULL,
  from_start INTEGER NOT NULL, contiguous INTEGER NOT NULL, reached INTEGER NOT NULL DEFAULT 0, reached_at INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE arrival(device BLOB, counter INTEGER, envelope BLOB, digest BLOB, at INTEGER NOT NULL, PRIMARY KEY(device,counter)) WITHOUT ROWID;
CREATE INDEX arrival_at ON arrival(at);

CREATE TABLE kase(ref BLOB PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE message(seq INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, id BLOB NOT NULL, kase BLOB NOT NULL,
  direction INTEGER NOT NULL, class TEXT NOT NULL, urgency TEXT NOT NULL, rank INTEGER NOT NULL, peer TEXT NOT NULL,
  created INTEGER NOT NULL, received INTEGER NOT NULL, answers BLOB, exercise INTEGER NOT NULL, envelope BLOB, attended BLOB,
  opened INTEGER NOT NULL DEFAULT 0, opened_by BLOB, acked INTEGER NOT NULL DEFAULT 0, acked_by TEXT NOT NULL DEFAULT '',
  ack BLOB, destroyed INTEGER NOT NULL DEFAULT 0, box BLOB);
CREATE INDEX message_id ON message(id);
CREATE INDEX message_kase ON message(kase,seq);
CREATE INDEX message_box ON message(direction,seq);
CREATE INDEX message_urgent ON message(rank,seq);
CREATE INDEX message_open ON message(seq) WHERE direction=1 AND acked=0;
CREATE INDEX message_answers ON message(answers) WHERE answers IS NOT NULL;
CREATE TABLE head(desk TEXT, kase BLOB, hash BLOB, PRIMARY KEY(desk,kase,hash)) WITHOUT ROWID;
CREATE TABLE quarantine(id INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL, box BLOB NOT NULL);
CREATE TABLE rejected(reason TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE recipient(message BLOB, desk TEXT, state INTEGER NOT NULL, pending INTEGER NOT NULL, at_relay INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0, opened INTEGER NOT NULL DEFAULT 0, acked INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0, acked_by TEXT NOT NULL DEFAULT '', ack BLOB, rule TEXT NOT NULL DEFAULT '', deadline INTEGER NOT NULL,
  PRIMARY KEY(message,desk)) WITHOUT ROWID;
CREATE INDEX recipient_undelivered ON recipient(pending) WHERE state<=2;
CREATE INDEX recipient_deadline ON recipient(deadline) WHERE deadline>0 AND acked=0 AND rejected=0;

CREATE TABLE outbox(seq INTEGER PRIMARY KEY AUTOINCREMENT, envelope BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, message BLOB,
  desk TEXT NOT NULL, counter INTEGER NOT NULL, sealer BLOB NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
  tier INTEGER NOT NULL, accepted BLOB, receipt BLOB, box BLOB NOT NULL, UNIQUE(sealer,desk,counter));
CREATE INDEX outbox_message ON outbox(message,desk,expires) WHERE message IS NOT NULL;
CREATE INDEX outbox_expires ON outbox(expires);

CREATE TABLE alarm(kind TEXT, subject TEXT, code TEXT NOT NULL, at INTEGER NOT NULL, times INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY(kind,subject)) WITHOUT ROWID;
CREATE TABLE audit(number INTEGER PRIMARY KEY, entry BLOB NOT NULL, chain BLOB NOT NULL);
`

// schemaV2 adds what the devices of one desk tell each other. followed holds hashes of
// records that another one took the place of, known or not; witnessed the lines of
// the other devices' access logs.
const schemaV2 = `
CREATE TABLE record(seq INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, kase BLOB NOT NULL,
  thread BLOB NOT NULL, own INTEGER NOT NULL, box BLOB NOT NULL);
CREATE INDEX record_thread ON record(kind,kase,thread);
CREATE TABLE followed(hash BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE witnessed(device BLOB, number INTEGER, box BLOB NOT NULL, PRIMARY KEY(device,number)) WITHOUT ROWID;
`

// schemaProofs adds the signed proofs of delivery, each kept once, and what they prove.
const schemaProofs = `
CREATE TABLE proof(hash BLOB PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE proves(message BLOB, desk TEXT, state INTEGER, proof BLOB NOT NULL, PRIMARY KEY(message,desk,state)) WITHOUT ROWID;
CREATE INDEX proves_proof ON proves(proof);
`

// schemaRestricted lets a case be restricted to named persons. lock names the public key that a
// row is closed to, NULL: to none; verdict says whether the rules were asked (Message.Verdict);
// addressed keeps the addressed desks of a closed message; unsent holds what must still be
// sealed for some desk.
const schemaRestricted = `
ALTER TABLE message ADD COLUMN lock BLOB;
ALTER TABLE message ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN addressed TEXT NOT NULL DEFAULT '';
CREATE INDEX message_verdict ON message(verdict) WHERE verdict<>'';
ALTER TABLE record ADD COLUMN lock BLOB;
CREATE TABLE unsent(message BLOB PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
`

// schemaPages adds the timers of this device's own pager, and the log of its pages.
const schemaPages = `
CREATE TABLE watch(kind TEXT, subject TEXT, since INTEGER NOT NULL, rungs INTEGER NOT NULL, last INTEGER NOT NULL,
  unreached INTEGER NOT NULL, silenced INTEGER NOT NULL, PRIMARY KEY(kind,subject)) WITHOUT ROWID;
CREATE TABLE paged(number INTEGER PRIMARY KEY AUTOINCREMENT, device BLOB NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, reference TEXT NOT NULL,
  tier INTEGER NOT NULL, rung INTEGER NOT NULL, level INTEGER NOT NULL, contact TEXT NOT NULL, channel TEXT NOT NULL, exercise INTEGER NOT NULL,
  waiting INTEGER NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL);
CREATE INDEX paged_subject ON paged(subject);
`

// schemaUsers adds who may open the web desk of this device, and what its inbox is read
// by: without these, a list of fifty sorts every message that there is.
const schemaUsers = `
CREATE TABLE user(id BLOB PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX message_list ON message(direction,rank,seq);
CREATE INDEX message_unread ON message(direction,rank,seq) WHERE direction=1 AND opened=0 AND destroyed=0;
CREATE INDEX message_unacked ON message(direction,rank,seq) WHERE direction=1 AND acked=0 AND destroyed=0;
`

// schemaAgain adds which delivery told a desk of a message last, so that it can be told once
// more to a device that was restored from before it. again is the device that it was made
// again for.
const schemaAgain = `
ALTER TABLE recipient ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recipient ADD COLUMN envelope BLOB;
ALTER TABLE recipient ADD COLUMN again BLOB;
CREATE INDEX recipient_again ON recipient(desk,counter) WHERE counter>0 AND delivered>0;
`

// schemaShelves adds the rows that belong to programs of the organisation: see Shelf.
const schemaShelves = `
CREATE TABLE kept(row BLOB PRIMARY KEY, shelf INTEGER NOT NULL, at INTEGER NOT NULL, box BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX kept_at ON kept(shelf,at,row);
`

// schemaAttachments adds what moves the sealed files of attachments: see Attachment. once is
// the SHA-256 of the identity that opens one; the identity itself stands in the message.
const schemaAttachments = `
CREATE TABLE attachment(message BLOB, place INTEGER, blob BLOB NOT NULL, length INTEGER NOT NULL, once BLOB NOT NULL, desks TEXT NOT NULL,
  copy INTEGER NOT NULL, upload INTEGER NOT NULL, since INTEGER NOT NULL, file TEXT NOT NULL, PRIMARY KEY(message,place)) WITHOUT ROWID;
CREATE INDEX attachment_moving ON attachment(length) WHERE copy IN (1,4) OR upload=1;
CREATE INDEX attachment_blob ON attachment(blob);
CREATE INDEX attachment_once ON attachment(once);
`

// migrate brings the schema up to this program's version, in one transaction with
// the caller's: a crash leaves the old schema, whole.
func (c *connection) migrate(from int) error {
	for v := from; v < schemaVersion; v++ {
		if err := c.db.Exec(migrations[v]); err != nil {
			return fail("bring the store to a newer schema", err)
		}
	}
	return fail("note the schema", c.db.Exec(fmt.Sprintf(`PRAGMA user_version=%d`, schemaVersion)))
}
