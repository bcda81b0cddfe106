package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: a callback that does not care for the time. It gets it all the same.
func (f *fraud) onTimer(ctx *engine.Context, card string, out engine.Out[Alert]) error { return nil }

func timerCallbackShape(s *engine.Setup, f *fraud) {
	engine.NewTimer(s, "timer", f.onTimer) // error: f.onTimer
}
