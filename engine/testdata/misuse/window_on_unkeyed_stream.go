package misuse

import (
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Meant: a total of everything. Windows are a key's: a constant key says that there is one total.
func windowOnUnkeyedStream() {
	engine.Window(payments, engine.Tumbling(time.Hour)) // error: engine.Stream[Payment]
}
