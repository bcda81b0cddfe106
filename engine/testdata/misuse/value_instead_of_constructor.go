package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: an operator. It takes a constructor, since every subtask needs one of its own.
func valueInsteadOfConstructor() {
	engine.Process(byCard, "fraud", &fraud{}) // error: func(*engine.Setup)
}
