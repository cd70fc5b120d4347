package protocol

import "schakel/crypto/message"

// RuleExercise is R30: an exercise and a real message never meet.
const RuleExercise = "R30"

// IsExercise reports whether a message is part of an exercise. The mark stands in the
// heading, inside what the device and the person signed: it can be neither taken off
// nor put on by anybody on the way, and a program from before it refuses such a message
// instead of showing it as real.
func IsExercise(m message.Message) bool { return m.Heading.Exercise }

// ExerciseMark is what stands before everything that a screen, a print or a list shows
// of an exercise. It is a word, because colours are lost on paper and to some eyes.
func ExerciseMark() Text { return Text{"OEFENING", "EXERCISE"} }

// ExerciseBanner is what a page about an exercise says first.
func ExerciseBanner() Text {
	return Text{
		"OEFENING. Dit is geen echte zaak. Bel niemand buiten de oefening. Is er echt gevaar? Bel 112 en begin een nieuwe zaak zonder oefening.",
		"EXERCISE. This is not a real case. Call nobody outside the exercise. Is there real danger? Call 112 and begin a new case that is no exercise."}
}

// CheckExercise is R30 for a message among those that a desk has of its case and those
// that it answers or rests on: all of them are of the exercise, or none. Otherwise a
// real report could be answered by an actor, or a drill end up in a victim's file.
func CheckExercise(m message.Message, others ...message.Message) error {
	for _, o := range others {
		if o.Heading.Exercise == m.Heading.Exercise {
			continue
		}
		if m.Heading.Exercise {
			return refuse(RuleExercise,
				Text{"dit is een echte zaak; een oefening hoort hier niet", "this is a real case; an exercise does not belong here"},
				Text{"begin voor de oefening een nieuwe zaak", "begin a new case for the exercise"})
		}
		return refuse(RuleExercise,
			Text{"deze zaak is een oefening; een echt bericht hoort hier niet", "this case is an exercise; a real message does not belong here"},
			Text{"is het echt? Begin een nieuwe zaak zonder oefening, en bel bij gevaar 112",
				"is it real? Begin a new case that is no exercise, and in danger telephone 112"})
	}
	return nil
}
