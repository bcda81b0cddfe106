package snapshotter

import (
	"errors"

	"github.com/pagetide/pagetide/meta"
)

// ErrUnknownOutcome reports that storage failed between making a checkpoint visible and making it durable. A restart may
// or may not find it. The state goes on as after an abort, and nothing that the checkpoint names is deleted until a later
// one has committed.
var ErrUnknownOutcome = errors.New("outcome of the checkpoint is unknown")

// errClosed is what a closed directory answers.
var errClosed = errors.New("directory is closed")

func damaged(file string, offset int64, what string) error {
	return &meta.DamageError{File: file, Offset: offset, What: what}
}

// checkHash compares a part of a file with the hash that vouches for it.
func checkHash(file, what string, e extent, b []byte) error {
	if got := hashOf(b); got != e.hash {
		return &meta.DamageError{File: file, Offset: e.offset, What: what, Want: e.hash, Got: got, HasSum: true}
	}
	return nil
}
