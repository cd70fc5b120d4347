package web

// computedOfCases are the keys that the pages of cases make of a part and a value.
func computedOfCases() (keys []string) {
	for _, p := range partsOfCases() {
		keys = append(keys, "cases.part-"+p, "cases.none-"+p)
	}
	for _, way := range []string{"left.", "late."} {
		for _, unit := range []string{"days", "hours", "minutes"} {
			keys = append(keys, way+unit+".one", way+unit+".more")
		}
		keys = append(keys, way+"soon")
	}
	for _, d := range duties() {
		keys = append(keys, "duty."+string(d))
	}
	for _, o := range offerStates() {
		keys = append(keys, "offer."+string(o))
	}
	for _, a := range logActions() {
		keys = append(keys, "did."+a)
	}
	for _, here := range []string{"notes", "playbook", "export", "restrict", "log"} {
		keys = append(keys, "case.heading-"+here)
	}
	for _, r := range remarkKinds() {
		keys = append(keys, "case."+r)
	}
	return keys
}
