package webhook

// Wake makes a running office look at once: the clock of a test was moved.
func (o *Office) Wake() { o.wake() }

// MaxParcels is how many wait at most.
const MaxParcels = maxParcels
