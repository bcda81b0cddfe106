package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: an operator that cannot fail. OnRecord returns an error all the same.
type noError struct{}

func (noError) OnRecord(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) {}

func withoutError() {
	engine.Process(byCard, "no-error", func(*engine.Setup) noError { return noError{} }) // error: wrong type for method OnRecord
}
