package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: OnRecord. No method is optional, so a misspelled one is missed.
type misspelled struct{}

func (misspelled) OnRecrod(ctx *engine.Context, card string, p Payment, out engine.Out[Alert]) error {
	return nil
}

func misspelledMethod() {
	engine.Process(byCard, "misspelled", func(*engine.Setup) misspelled { return misspelled{} }) // error: missing method OnRecord
}
