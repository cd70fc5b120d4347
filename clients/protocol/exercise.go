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
