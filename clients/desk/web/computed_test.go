package web

// computedElsewhere are the computed keys of the pages about who is on call, the desks
// of others, alarms and people.
func computedElsewhere() (keys []string) {
	for _, k := range []string{"override", "leave"} {
		keys = append(keys, "title."+k, "title."+k+"-check", "title."+k+"-again")
	}
	for _, k := range []string{"take", "swap", "override", "leave", "sheet", "calendar"} {
		keys = append(keys, "done."+k)
	}
	for _, k := range []string{"day", "week", "month"} {
		keys = append(keys, "rota."+k, "rota."+k+"s")
	}
	return keys
}
