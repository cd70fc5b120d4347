package web

import (
	"schakel/clients/desk"
	"schakel/clients/schakel"
)

// computedElsewhere are the computed keys of the pages about who is on call, the desks
// of others, alarms and people.
func computedElsewhere() (keys []string) {
	for _, k := range []string{"heard", "who", "to", "device", "called"} {
		keys = append(keys, "form.needed-"+k)
	}
	for _, k := range []string{"override", "leave"} {
		keys = append(keys, "title."+k, "title."+k+"-check", "title."+k+"-again")
	}
	for _, k := range []string{"take", "swap", "override", "leave", "sheet", "calendar", "drill", "verified", "refused", "confirmed-device", "test", "cleared", "person", "roles", "removed", "vouched", "revoked"} {
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
	for _, k := range alarmKeys() {
		keys = append(keys, "alarm."+k, "alarm.do-"+k)
	}
	for _, r := range desk.Roles() {
		keys = append(keys, "people.role-"+string(r))
	}
	for _, r := range revocationReasons() {
		keys = append(keys, "device.reason-"+string(r))
	}
	for _, a := range []schakel.AttachmentState{schakel.AttachmentWaiting, schakel.AttachmentMoving, schakel.AttachmentPaused, schakel.AttachmentHere, schakel.AttachmentAtRelay,
		schakel.AttachmentUnavailable, schakel.AttachmentRefused} {
		keys = append(keys, "attachment."+string(a), "attachment-out."+string(a))
	}
	for _, a := range []schakel.AttachmentState{schakel.AttachmentUnavailable, schakel.AttachmentRefused} {
		keys = append(keys, "attachment.remedy-"+string(a))
	}
	for _, m := range schakel.Marks() {
		keys = append(keys, "mark."+string(m))
	}
	for _, trouble := range schakel.Troubles() {
		keys = append(keys, "attachment.trouble-"+trouble)
	}
	for kind := range endings {
		keys = append(keys, "kind."+kind)
	}
	return append(keys, "title.search-again") // set beside something else
}
