package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// errGoexit stands for runtime.Goexit in a user's function, which is what testing.T.Fatal does.
var errGoexit = errors.New("ended its goroutine by runtime.Goexit")

// panicked is the error behind a recovered value; an error that was panicked with can still be found in it.
func panicked(v any) error {
	if err, ok := v.(error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic: %v", v)
}

// call runs a user's function that is not on the path of records, in a goroutine of its own: neither a panic nor
// runtime.Goexit in it reaches the engine. Both become an *OperatorError with a stack.
func call(uid, what string, f func() error) error { return <-calling(uid, what, f) }

// calling is call without the wait: the error comes when f has returned.
func calling(uid, what string, f func() error) <-chan error {
	result := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if v := recover(); v != nil {
				err = panicked(v)
			} else if err != errGoexit {
				result <- err
				return
			}
			result <- &OperatorError{UID: uid, Err: fmt.Errorf("%s: %w", what, err), Stack: debug.Stack()}
		}()
		err = f()
	}()
	return result
}

// call calls a method of the node's source or sink, or a function of its operator's: all its errors are *OperatorErrors.
func (n *node) call(what string, f func() error) error {
	return call(n.uid, what, func() error {
		if err := f(); err != nil {
			return &OperatorError{UID: n.uid, Err: fmt.Errorf("%s: %w", what, err)}
		}
		return nil
	})
}

// await is call for what the whole job waits for.
func (n *node) await(what string, f func() error) error {
	n.job.awaited.begin(n.label() + ": " + what)
	defer n.job.awaited.end()
	return n.call(what, f)
}

// awaited is the one function of the user's that the whole job waits for, so that it can be named when it does not return.
type awaited struct{ what atomic.Pointer[string] }

func (a *awaited) begin(what string) { a.what.Store(&what) }
func (a *awaited) end()              { a.what.Store(nil) }

// or names it, or says what else goes on.
func (a *awaited) or(otherwise string) func() string {
	return func() string {
		if what := a.what.Load(); what != nil {
			return *what
		}
		return otherwise
	}
}

// plainly says what goes on where no function of the user's is waited for.
func plainly(what string) func() string { return func() string { return what } }

// broke says that err is a panic or a Goexit, not an error that a function returned.
func broke(err error) bool {
	op, ok := errors.AsType[*OperatorError](err)
	return ok && op.Stack != nil
}

// within runs f and waits for it, at most for the timeout in the machine's time, which passes also where a job's [Clock] stands
// still; then f is left behind and the error says so.
func within(timeout time.Duration, what func() string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w within %s: %s", ErrStuck, timeout, what())
	}
}

// patient runs f, which storage may hold up, and waits for it; once ctx has ended no longer than the timeout. What f gives
// after that is handed to undo.
func patient[T any](ctx context.Context, timeout time.Duration, what func() string, f func() (T, error), undo func(T) error) (v T, err error) {
	type made struct {
		v   T
		err error
	}
	done := make(chan made, 1)
	go func() {
		v, err := f()
		done <- made{v, err}
	}()
	select {
	case m := <-done:
		return m.v, m.err
	case <-ctx.Done():
	}
	err = within(timeout, what, func() error {
		m := <-done
		if m.err == nil {
			m.err = errors.Join(context.Cause(ctx), undo(m.v))
		}
		return m.err
	})
	return v, err
}

// hand says whether a user's function is running and what it works on, so that its failure can be named. A subtask has
// its hands in the order in which calls nest: the last busy one is the culprit.
type hand interface {
	busy() bool
	inHand() (uid, key, record string)
}

// recordHand is the hand of a function that takes records: the i-th of recs, which are nil while it is not called.
type recordHand[T any] struct {
	uid  string
	recs []T
	i    int
	_    apart
}

// handFor makes the hand of a node's function in the subtask that is being built.
func handFor[T any](st *subtask, uid string) *recordHand[T] {
	h := &recordHand[T]{uid: uid}
	st.hands = append(st.hands, h)
	return h
}

// take has records in hand, the first one first: i counts on from there.
func (h *recordHand[T]) take(recs []T) { h.recs, h.i = recs, 0 }
func (h *recordHand[T]) done()         { h.recs = nil }

func (h *recordHand[T]) busy() bool { return h.recs != nil }

func (h *recordHand[T]) inHand() (uid, key, record string) { return h.uid, "", printed(h.recs[h.i]) }
