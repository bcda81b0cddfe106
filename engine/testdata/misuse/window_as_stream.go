package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: the records of the windows. A window has no stream before something is made of it.
func windowAsStream() {
	engine.Map(hours, func(p Payment) int64 { return p.Cents }) // error: engine.Windowed[string, Payment]
}
