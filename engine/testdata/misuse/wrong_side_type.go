package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: to send an alert to the reviewers, who get payments.
func wrongSideType(s *engine.Setup) {
	out := engine.NewSide(s, review)
	out.Emit(Alert{}) // error: cannot use Alert{} (value of struct type Alert) as Payment value
}
