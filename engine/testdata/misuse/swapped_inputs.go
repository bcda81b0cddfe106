package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: payments on the left and alerts on the right, as the operator has them.
type payAndAlert struct{}

func (payAndAlert) OnLeft(*engine.Context, string, Payment, engine.Out[Alert]) error { return nil }
func (payAndAlert) OnRight(*engine.Context, string, Alert, engine.Out[Alert]) error  { return nil }

func swappedInputs() {
	alerts := engine.KeyBy(found, func(a Alert) string { return a.Card })
	engine.Process2(alerts, byCard, "pair", func(*engine.Setup) payAndAlert { return payAndAlert{} }) // error: OnLeft
}
