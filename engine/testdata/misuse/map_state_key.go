package misuse

import "github.com/pagetide/pagetide/engine"

// Meant: a map from what cannot be a key.
func mapStateKey(s *engine.Setup) {
	engine.NewMapState[[]string, int64](s, "by") // error: []string does not satisfy comparable
}
