package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: the sum, not its text.
type wrongStateValue struct{ sum engine.ValueState[int64] }

func (w wrongStateValue) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	w.sum.Set(ctx, card) // error: cannot use card (variable of type string) as int64 value
	return nil
}
