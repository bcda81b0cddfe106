package file

import "fmt"

// RowError is a row that cannot be read. Sources wrap it in engine.Permanent, because reading it again cannot help.
type RowError struct {
	File   string
	Line   int64 // from 1
	Column int64 // in bytes, from 1
	Err    error
}

// Error names the file, line and column, both counted from one.
func (e *RowError) Error() string {
	return fmt.Sprintf("%s line %d, column %d: %v", e.File, e.Line, e.Column, e.Err)
}

// Unwrap gives the cause.
func (e *RowError) Unwrap() error { return e.Err }

// spotError is a decoder's complaint about a spot in the row it was given.
type spotError struct {
	line   int // below the row's first line
	column int // in bytes, from 1
	err    error
	fatal  bool // not to be skipped: the row is the header
}

func (e *spotError) Error() string { return e.err.Error() }
func (e *spotError) Unwrap() error { return e.err }
