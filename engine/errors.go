package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Errors that a run can end with, besides those of package meta. Branch with errors.Is.
var (
	// ErrCancelled reports a run that was cancelled.
	ErrCancelled = errors.New("job was cancelled")

	// ErrPoison reports a record that failed the same operator three times running. An error of a call of [Async] does not
	// count: what is called may be down.
	ErrPoison = errors.New("poison record")

	// ErrStuck reports a task, a source, a sink, a hook or storage that did not return within the shutdown timeout, and names it.
	ErrStuck = errors.New("task does not return")

	// ErrCheckpoints reports that more checkpoints in a row failed than the settings tolerate.
	ErrCheckpoints = errors.New("too many failed checkpoints")
)

// errStorageStuck is the ErrStuck of storage.
var errStorageStuck = fmt.Errorf("storage does not answer: %w", ErrStuck)

// Permanent marks an error that no restart can mend: a malformed row, a missing input. The job ends at once.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// IsPermanent says whether err, or an error that it wraps, was marked by [Permanent].
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}

// OperatorError is an error, or a panic, of a user's function, source or sink.
type OperatorError struct {
	UID    string // of the operator, source or sink
	Key    string // the key in hand, printed; empty if there is none
	Record string // the record or timer in hand, printed and shortened; empty if there is none
	Err    error
	Stack  []byte // of a panic

	// Position is where the record in hand was read: source, split, and the position that its batch begins after. Errors of a
	// split's reader have it of the read that failed, those of a sink's Write of the batch that the rows come from. It is empty
	// for timers and windows and what they have sent, behind an [Async], and for its calls after a restore; and where no batch
	// is in hand: in Splits, constructors, OnOpen and OnClose, and in all of a sink but Write.
	Position string

	called bool // the error is a call's: not the record may be to blame, but what was called
}

// Error names the operator and, where there are any, the key, the record and its position.
func (e *OperatorError) Error() string {
	if e.Key == "" && e.Record == "" && strings.HasPrefix(e.Position, sourceOf(e.UID)) { // names it, too
		return fmt.Sprintf("%s: %v", e.Position, e.Err)
	}
	s := fmt.Sprintf("operator %q", e.UID)
	if e.Key != "" {
		s += ", key " + e.Key
	}
	if e.Key != "" || e.Record != "" {
		s += ", record " + e.Record
	}
	if e.Position != "" {
		s += " (" + e.Position + ")"
	}
	return fmt.Sprintf("%s: %v", s, e.Err)
}

// Unwrap gives the user's error.
func (e *OperatorError) Unwrap() error { return e.Err }

// signature is what two failures share when the same record fails the same operator. Where a record's pointers lead is not
// part of it: that is another place each time.
func (e *OperatorError) signature() string {
	return e.UID + "\x00" + e.Key + "\x00" + address.ReplaceAllString(e.Record, "0x")
}

var address = regexp.MustCompile(`\b0x[0-9a-f]{6,12}\b`)
