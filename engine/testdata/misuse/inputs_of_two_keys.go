package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: to join payments with alerts, by keys that do not mean the same.
func inputsOfTwoKeys() {
	alerts := engine.KeyBy(found, func(a Alert) int { return len(a.Card) })
	pair := func(string, *Payment, *Alert) Alert { return Alert{} }
	engine.IntervalJoin(byCard, alerts, "join", engine.Inner, engine.Within(0, 0), pair) // error: type engine.Keyed[int, Alert] of alerts does not match inferred type engine.Keyed[string, R]
}
