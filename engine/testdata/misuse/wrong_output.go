package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: an alert. The operator emits another type than its Out takes.
type wrongOutput struct{}

func (wrongOutput) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	out.Emit(p) // error: cannot use p (variable of struct type Payment) as Alert value
	return nil
}
