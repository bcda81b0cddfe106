package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/pagetide/pagetide/engine"
)

// breaking is a source of two batches, and a sink, of which one method fails, by an error or a panic.
type breaking struct {
	at  string
	err error // nil: it panics
}

func (f breaking) fail(at string) error {
	if f.at != at {
		return nil
	}
	if f.err == nil {
		panic("boom")
	}
	return f.err
}

func (f breaking) Splits(context.Context) ([]engine.Split, bool, error) {
	return []engine.Split{{ID: "a"}}, true, f.fail("Splits")
}

func (f breaking) Open(context.Context, engine.Split, engine.Position) (engine.Reader[int], error) {
	return &breakingReader{breaking: f}, f.fail("Open")
}

type breakingReader struct {
	breaking
	read int
}

func (r *breakingReader) Read(_ context.Context, b *engine.Batch[int]) error {
	if r.read == 2 {
		return io.EOF
	}
	if r.read == 1 {
		if err := r.fail("Read"); err != nil {
			return err
		}
	}
	r.read++
	*b.Next() = r.read
	return nil
}

func (r *breakingReader) Position() engine.Position { return engine.Position(fmt.Sprint(r.read)) }
func (r *breakingReader) Close() error              { return nil }

type breakingSink struct {
	engine.AtLeastOnce
	breaking
}

func (s breakingSink) Recover(context.Context, engine.Task, []engine.Txn) error {
	return s.fail("Recover")
}
func (s breakingSink) Commit(context.Context, engine.Txn) error { return s.fail("Commit") }

func (s breakingSink) Open(context.Context, engine.Task) (engine.Writer[int], error) {
	return breakingWriter(s), s.fail("sink Open")
}

type breakingWriter breakingSink

func (w breakingWriter) Write(_ context.Context, rows []int) error {
	if rows[0] != 2 {
		return nil
	}
	return w.fail("Write")
}

func (w breakingWriter) Prepare(context.Context, uint64) (engine.Txn, error) {
	return engine.Txn("t"), w.fail("Prepare")
}

func (w breakingWriter) Close() error { return nil }

// TestErrorsAreTyped: whatever fails in a source or a sink names it once, says where it was read if that is known, and can be told by
// its cause, and from a temporary one.
func TestErrorsAreTyped(t *testing.T) {
	const first, second = `source "in", split "a", read after the beginning`, `source "in", split "a", read after position "1"`
	cause := errors.New("boom")
	for at, w := range map[string]struct{ uid, position, says string }{
		"Splits":    {"in", "", `operator "in": list splits: `},
		"Open":      {"in", first, first + `: open: `},
		"Read":      {"in", second, second + `: `},
		"Recover":   {"out", "", `operator "out": recover: `},
		"sink Open": {"out", "", `operator "out": `},
		"Write":     {"out", second, `operator "out" (` + second + `): `},
		"Prepare":   {"out", "", `operator "out": `},
		"Commit":    {"out", "", `operator "out": commit: `},
	} {
		for how, err := range map[string]error{"error": engine.Permanent(cause), "panic": nil} {
			for _, spread := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, spread %t", at, how, spread), func(t *testing.T) {
					f := breaking{at, err}
					job := engine.NewJob("typed")
					in := engine.From(job, "in", engine.Source[int](f))
					if spread {
						in = engine.Rebalance(in)
					}
					engine.To(in, "out", engine.Sink[int](breakingSink{breaking: f}))
					got := job.Run(t.Context(), engine.Options{Restart: engine.Restart{None: true}})
					op, ok := errors.AsType[*engine.OperatorError](got)
					if !ok {
						t.Fatalf("Run = %v, want an OperatorError", got)
					}
					if op.UID != w.uid || op.Position != w.position || op.Record != "" || (len(op.Stack) > 0) != (err == nil) {
						t.Errorf("%q at %q, record %q, %d bytes of stack; want %q at %q", op.UID, op.Position, op.Record, len(op.Stack), w.uid, w.position)
					}
					if err != nil && (!errors.Is(got, cause) || !engine.IsPermanent(got)) {
						t.Errorf("%v: its cause, or that it is permanent, is lost", got)
					}
					says := w.says + "boom"
					if err == nil {
						says = w.says + "panic: boom"
						if at == "Open" {
							says = w.position + ": panic: boom"
						}
					}
					if got.Error() != says {
						t.Errorf("Run = %v, want %s", got, says)
					}
				})
			}
		}
	}
}
