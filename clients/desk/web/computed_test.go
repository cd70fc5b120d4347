package web

// computedElsewhere are the computed keys of the pages about who is on call, the desks
// of others, alarms and people.
func computedElsewhere() (keys []string) {
	for _, k := range []string{"override", "leave"} {
		keys = append(keys, "title."+k, "title."+k+"-check", "title."+k+"-again")
	}
	for _, k := range []string{"take", "swap", "override", "leave", "sheet", "calendar", "drill"} {
		keys = append(keys, "done."+k)
	}
	for _, k := range []string{"day", "week", "month"} {
		keys = append(keys, "rota."+k, "rota."+k+"s")
	}
	for _, k := range reasons() {
		keys = append(keys, "pages.why-"+k)
	}
	for _, o := range pageOutcomes() {
		keys = append(keys, "pages.outcome-"+string(o))
	}
	for _, k := range readyNames() {
		keys = append(keys, "ready."+readyKey(k), "ready.do-"+readyKey(k))
	}
	return keys
}
