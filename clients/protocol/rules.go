package protocol

import "slices"

// Means says how a numbered rule is kept, at both ends: no rule is a sentence only.
type Means struct {
	Check      func(subject) *Finding // run on every message of a class that lists the rule
	Also       []string               // classes that do not list it and are checked all the same
	Always     bool                   // checked on every class
	Mild       bool                   // acute messages that break it are kept: losing one does more harm
	Schema     []string               // classes whose schema keeps it
	Form       []string               // classes for which the checks of heading and form keep it
	Obligation []Duty                 // what the case state makes of it
	State      bool                   // the case state keeps it by how it is computed
	Lane       bool                   // the relay's lanes keep it as well
}

// means is how each numbered rule is kept. A test closes it over the catalogue.
func means() map[string]Means {
	dangerous := []string{ClassReport, ClassAbroad, ClassTravel, ClassPlan, ClassAction, ClassOffence, ClassHandover}
	return map[string]Means{
		"R01": {Check: ruleRegion, Obligation: []Duty{DutyForward}},
		"R02": {Check: rulePolice},
		"R03": {Check: ruleRemains, State: true, Mild: true},
		"R04": {Check: ruleAnonymous, Schema: []string{ClassQuestion}, Also: identifying()},
		"R05": {Obligation: []Duty{DutyAcknowledge}, Form: []string{ClassAcknowledgement}},
		"R06": {Schema: dangerous},
		"R07": {Check: ruleException, Also: []string{ClassDecision}, Schema: []string{ClassHandover}, State: true, Mild: true},
		"R08": {Check: ruleUnregistered, Obligation: []Duty{DutyOfferBack}},
		"R09": {Lane: true, Form: []string{ClassAbroad, ClassCallBack, ClassVerify, ClassVerified, ClassTravel, ClassPlan}},
		"R10": {Obligation: []Duty{DutyAnswer}},
		"R11": {Schema: []string{"informatieverzoek", ClassVerify}},
		"R12": {Check: ruleAnswer, Form: []string{ClassAcknowledgement}, Mild: true},
		"R13": {Check: ruleIdentity},
		"R14": {Check: ruleConsent, Schema: []string{ClassTravel}, Mild: true},
		"R15": {Check: ruleFourBlocks, Schema: []string{ClassPlan}},
		"R16": {Check: ruleBorder, Schema: []string{ClassAction}, Mild: true},
		"R17": {Check: ruleWeighed},
		"R18": {Obligation: []Duty{DutyWeigh}},
		"R19": {Check: ruleVersion, Obligation: []Duty{DutyRevise}},
		"R20": {Check: ruleHandover, State: true, Obligation: []Duty{DutyAnswer}},
		"R21": {Check: ruleHolder, State: true},
		"R22": {Form: []string{ClassAcknowledgement, ClassDecision}, Schema: []string{ClassDecision, ClassAcknowledgement}},
		"R23": {Obligation: []Duty{DutyFeedback1, DutyFeedback2}},
		"R24": {Schema: []string{ClassClosing}, State: true},
		"R25": {Obligation: []Duty{DutyPolice}},
		"R26": {Check: ruleSecret, Also: []string{ClassOffence}},
		"R27": {Check: ruleReplaced, State: true, Form: []string{ClassCorrection, ClassWithdrawal}, Mild: true},
		"R28": {Check: ruleLink, Form: []string{ClassLink}},
		"R29": {Check: ruleInvitation, Form: []string{ClassInvitation}, Mild: true},
		"R30": {Check: ruleExercise, Always: true},
	}
}

// identifying is the classes that speak of somebody, or name the case that does, and so
// break the anonymity of an advice when they travel in its case (R04).
func identifying() []string {
	return []string{ClassSignal, ClassReport, ClassAbroad, ClassCallBack, "informatieverzoek", "informatieantwoord", ClassVerify,
		ClassVerified, ClassTravel, ClassPlan, ClassAction, ClassWeighing, ClassOffence, ClassHandover, ClassLink}
}

// checkNumbered tries the numbered rules, in their order.
func (c *Catalogue) checkNumbered(s subject) (out Findings) {
	if f := checkEnclosed(s); f != nil {
		out = append(out, *f)
	}
	for _, id := range c.ruleIDs {
		m := c.means[id]
		if m.Check == nil || !m.Always && !slices.Contains(s.class.Rules, id) && !slices.Contains(m.Also, s.Class) {
			continue
		}
		f := m.Check(s)
		if f == nil {
			continue
		}
		if m.Mild && s.acute() {
			f.keep()
		}
		out = append(out, *f)
	}
	return out
}
