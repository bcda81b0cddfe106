//go:build !linux

package vfs

import (
	"errors"
	"os"
)

func cloneInto(_, _ *os.File) error { return errors.ErrUnsupported }
