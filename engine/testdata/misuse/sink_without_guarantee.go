package misuse

import (
	"context"

	"github.com/pagetide/pagetide/engine"
)

// Meant: a sink that only writes. It has to say so, by embedding AtLeastOnce, or to commit.
type silent struct{}

func (silent) Open(context.Context, engine.Task) (engine.Writer[Alert], error) { return nil, nil }

func sinkWithoutGuarantee() {
	engine.To[Alert](found, "alerts", silent{}) // error: missing method Commit
}
