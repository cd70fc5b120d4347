package vault

// Reline decodes a key line and encodes it again.
func Reline(b []byte) ([]byte, error) {
	k, id, err := decode(b)
	if err != nil {
		return nil, err
	}
	return encode(id, k), nil
}
