package engine

import (
	"context"
	"errors"
	"fmt"
)

// origin is where the records in hand were read. It goes from task to task with their batch; what timers send has none.
type origin struct {
	split *splitName // nil: none is known
	from  Position   // that the batch begins after
}

// splitName is a split of a source.
type splitName struct{ uid, id string }

// String is empty for what has no origin.
func (o origin) String() string {
	if o.split == nil {
		return ""
	}
	after := "the beginning"
	if o.from != "" {
		after = fmt.Sprintf("position %q", o.from)
	}
	return fmt.Sprintf("source %q, split %q, read after %s", o.split.uid, o.split.id, after)
}

// placed adds to a failure where the record in hand was read, if that is known.
func (st *subtask) placed(err error) error {
	if st.ctx.Err() != nil && errors.Is(err, context.Cause(st.ctx)) { // the failure is another's
		return err
	}
	if op, ok := errors.AsType[*OperatorError](err); ok && op.Record != "" && op.Position == "" {
		op.Position = st.origin.String()
	}
	return err
}
