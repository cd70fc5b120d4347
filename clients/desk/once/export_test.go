package once

// SetRoom bounds how many answers are kept, for tests.
func (k *Keeper) SetRoom(n int) { k.room = n }
