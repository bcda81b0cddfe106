package meta

import (
	"errors"
	"fmt"
)

// Errors to branch on with errors.Is. Every error that wraps one names the file, operator, key or setting.
var (
	ErrNotFound     = errors.New("not found")                    // no such checkpoint, or a file that it needs is missing
	ErrDamaged      = errors.New("damaged")                      // bytes are not what was written
	ErrVersion      = errors.New("unknown format version")       // intact, but written by a newer release
	ErrIncompatible = errors.New("incompatible")                 // intact, but of another job, operator or type
	ErrLocked       = errors.New("in use by another process")    // another owner holds the directory
	ErrExists       = errors.New("already holds an earlier run") // a fresh start would mix with what is there
	ErrNotNewest    = errors.New("not the newest checkpoint")    // resuming there would repeat committed output
	ErrRevoked      = errors.New("attempt has been replaced")    // a later attempt owns the right to publish
	ErrAborted      = errors.New("checkpoint aborted")           // given up before it was published; state is intact
)

// DamageError says which bytes are wrong. It is an [ErrDamaged].
type DamageError struct {
	File   string // path as it was opened
	Offset int64  // first byte of the damaged range
	What   string // the thing that is damaged, "block", "root", "header" ...
	Want   uint64 // expected hash or value, if HasSum
	Got    uint64
	HasSum bool
}

// Error names the file, the offset and, for a hash, what was expected and found.
func (e *DamageError) Error() string {
	if !e.HasSum {
		return fmt.Sprintf("%s: damaged at offset %d: %s", e.File, e.Offset, e.What)
	}
	return fmt.Sprintf("%s: damaged at offset %d: %s: expected %016x, found %016x", e.File, e.Offset, e.What, e.Want, e.Got)
}

// Unwrap makes the error an ErrDamaged.
func (e *DamageError) Unwrap() error { return ErrDamaged }
