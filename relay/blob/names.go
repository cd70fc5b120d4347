package blob

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"schakel/crypto/identity"
	"schakel/relay/wire"
)

// The names of objects. An upload's record comes first and goes last, so that
// whatever lies in a store is found by listing the uploads; a part is never
// written twice under one name, so that what was verified stays as it was.
//
//	uploads/<org>/<desk>/<device>/<blob>.<length>        since when, and for which desks
//	uploads/<org>/<desk>/<device>/<blob>.<length>.whole  its verified parts, and until when
//	parts/<blob>/<device>/<offset>.<size>.<random>       bytes
//	holds/<blob>/<org>/<desk>/<org>/<desk>/<device>.<length>   empty: the first desk may fetch what the second's device uploaded
//	done/<org>/<desk>/<device>/<blob>.<until>    empty: the blob is needed no more, and not lost
const (
	doneFolder    = "done/"
	uploadsFolder = "uploads/"
	partsFolder   = "parts/"
	holdsFolder   = "holds/"
	wholeSuffix   = ".whole"
)

// errName means that an object's name is none of ours: an operator put it there.
var errName = errors.New("not the name of an object")

// upload is one device's upload of one blob.
type upload struct {
	by     Owner
	id     wire.BlobID
	length int64
}

func (o Owner) prefix() string { return uploadsFolder + string(o.Desk) + "/" + o.Device.String() + "/" }

func (u upload) name() string {
	return u.by.prefix() + u.id.String() + "." + strconv.FormatInt(u.length, 10)
}
func (u upload) whole() string { return u.name() + wholeSuffix }
func (u upload) parts() string { return partsFolder + u.id.String() + "/" + u.by.Device.String() + "/" }

func holdsOf(id wire.BlobID) string { return holdsFolder + id.String() + "/" }

func (u upload) hold(desk identity.DeskID) string {
	return holdsOf(u.id) + string(desk) + "/" + string(u.by.Desk) + "/" + u.by.Device.String() + "." + strconv.FormatInt(u.length, 10)
}

// doneMark says that a device's blob is needed no more, as long as anybody may ask.
type doneMark struct {
	by    Owner
	id    wire.BlobID
	until int64 // seconds since 1970
}

// done is how the names of a blob's marks begin.
func (o Owner) done(id wire.BlobID) string {
	return doneFolder + string(o.Desk) + "/" + o.Device.String() + "/" + id.String() + "."
}

func (m doneMark) name() string { return m.by.done(m.id) + strconv.FormatInt(m.until, 10) }

// parseDone reads a name under doneFolder.
func parseDone(name string) (m doneMark, err error) {
	rest, ok := strings.CutPrefix(name, doneFolder)
	cells := strings.Split(rest, "/")
	if !ok || len(cells) != 4 {
		return m, fmt.Errorf("%w: not a mark", errName)
	}
	if m.by, err = parseOwner(cells[0]+"/"+cells[1], cells[2]); err != nil {
		return m, err
	}
	id, until, ok := strings.Cut(cells[3], ".")
	if m.id, err = wire.ParseBlobID(id); err != nil || !ok {
		return m, fmt.Errorf("%w: of no blob: %w", errName, err)
	}
	m.until, err = strconv.ParseInt(until, 10, 64)
	if err != nil || m.until < 0 || m.until > maxTime || m.name() != name {
		return m, fmt.Errorf("%w: until no time", errName)
	}
	return m, nil
}

// newPart names a part as nothing was named before.
func (u upload) newPart(offset, size int64) string {
	var random [8]byte
	rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s%016x.%d.%s", u.parts(), offset, size, hex.EncodeToString(random[:]))
}

// parseUpload reads a name under uploadsFolder.
func parseUpload(name string) (u upload, whole bool, err error) {
	rest, ok := strings.CutPrefix(name, uploadsFolder)
	if !ok {
		return u, false, fmt.Errorf("%w: not an upload", errName)
	}
	rest, whole = strings.CutSuffix(rest, wholeSuffix)
	cells := strings.Split(rest, "/")
	if len(cells) != 4 {
		return u, false, fmt.Errorf("%w: %d parts", errName, len(cells))
	}
	id, length, ok := strings.Cut(cells[3], ".")
	if !ok {
		return u, false, fmt.Errorf("%w: without a length", errName)
	}
	if u.by, err = parseOwner(cells[0]+"/"+cells[1], cells[2]); err != nil {
		return u, false, err
	}
	if u.id, err = wire.ParseBlobID(id); err != nil {
		return u, false, fmt.Errorf("%w: %w", errName, err)
	}
	if u.length, err = wire.ParseLength(length); err != nil {
		return u, false, fmt.Errorf("%w: %w", errName, err)
	}
	return u, whole, nil
}

func parseOwner(desk, device string) (o Owner, err error) {
	if o.Desk, err = identity.ParseDeskID(desk); err != nil {
		return o, fmt.Errorf("%w: %w", errName, err)
	}
	if o.Device, err = identity.ParseDeviceID(device); err != nil {
		return o, fmt.Errorf("%w: %w", errName, err)
	}
	return o, nil
}

// parseHold reads a name under holdsFolder: which desk may fetch which upload.
func parseHold(name string) (desk identity.DeskID, u upload, err error) {
	rest, ok := strings.CutPrefix(name, holdsFolder)
	cells := strings.Split(rest, "/")
	if !ok || len(cells) != 6 {
		return "", u, fmt.Errorf("%w: not a hold", errName)
	}
	device, length, ok := strings.Cut(cells[5], ".")
	if !ok {
		return "", u, fmt.Errorf("%w: without a length", errName)
	}
	if u.id, err = wire.ParseBlobID(cells[0]); err != nil {
		return "", u, fmt.Errorf("%w: %w", errName, err)
	}
	if desk, err = identity.ParseDeskID(cells[1] + "/" + cells[2]); err != nil {
		return "", u, fmt.Errorf("%w: %w", errName, err)
	}
	if u.by, err = parseOwner(cells[3]+"/"+cells[4], device); err != nil {
		return "", u, err
	}
	u.length, err = wire.ParseLength(length)
	return desk, u, err
}

// piece is a part that lies in the store.
type piece struct {
	name         string
	offset, size int64
}

// parsePiece reads the name of a part of u.
func (u upload) parsePiece(name string) (p piece, err error) {
	rest, ok := strings.CutPrefix(name, u.parts())
	cells := strings.Split(rest, ".")
	if !ok || len(cells) != 3 || len(cells[0]) != 16 || len(cells[2]) != 16 || cells[0] != strings.ToLower(cells[0]) {
		return p, fmt.Errorf("%w: not a part", errName)
	}
	if _, err := hex.DecodeString(cells[2]); err != nil || cells[2] != strings.ToLower(cells[2]) {
		return p, fmt.Errorf("%w: not a part", errName)
	}
	offset, err := strconv.ParseUint(cells[0], 16, 63)
	if err != nil || offset > wire.MaxBlob {
		return p, fmt.Errorf("%w: not an offset", errName)
	}
	size, err := wire.ParseLength(cells[1])
	if err != nil || size == 0 || size > wire.MaxBlobPart {
		return p, fmt.Errorf("%w: not the size of a part", errName)
	}
	return piece{name: name, offset: int64(offset), size: size}, nil
}
