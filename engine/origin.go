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
	return fmt.Sprintf("%s split %q, read after %s", sourceOf(o.split.uid), o.split.id, after)
}

// sourceOf is how what has an origin begins to say so.
func sourceOf(uid string) string { return fmt.Sprintf("source %q,", uid) }

// fails is the error of the reader of a split.
func (o origin) fails(err error, stack []byte) error {
	return &OperatorError{UID: o.split.uid, Position: o.String(), Err: err, Stack: stack}
}

// placed adds to a failure where the record in hand was read, or the rows that a sink is writing, if that is known.
func (st *subtask) placed(err error) error {
	if st.ctx.Err() != nil && errors.Is(err, context.Cause(st.ctx)) { // the failure is another's
		return err
	}
	if op, ok := errors.AsType[*OperatorError](err); ok && op.Position == "" && (op.Record != "" || st.writing) {
		op.Position = st.origin.String()
	}
	return err
}
