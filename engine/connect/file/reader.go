package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/pagetide/pagetide/engine"
)

// source is a file of rows of one format. It has one split.
type source[T any] struct {
	c      *content
	config config
	format func() (format[T], error) // a fresh one for each reader
}

// format knows how rows are cut and what they say. Formats have state.
type format[T any] interface {
	cutter
	// decode fills rec from a row and says whether the row holds a record. Its errors are spotErrors.
	decode(row []byte, rec *T) (record bool, err error)
	// needsHeader says that the next row is taken for the file's header.
	needsHeader() bool
}

// Splits implements [engine.Source].
func (s *source[T]) Splits(context.Context) ([]engine.Split, bool, error) {
	if _, err := s.c.look(); err != nil {
		return nil, false, err
	}
	return []engine.Split{{ID: s.c.name}}, true, nil
}

// Open implements [engine.Source].
func (s *source[T]) Open(ctx context.Context, split engine.Split, from engine.Position) (engine.Reader[T], error) {
	if split.ID != s.c.name {
		return nil, engine.Permanent(fmt.Errorf("input %s: asked for split %q", s.c.name, split.ID))
	}
	at, err := parsePosition(from)
	if err != nil {
		return nil, engine.Permanent(fmt.Errorf("input %s: %w", s.c.name, err))
	}
	f, err := s.format()
	if err != nil {
		return nil, engine.Permanent(fmt.Errorf("input %s: %w", s.c.name, err))
	}
	check, ok := s.config.check.(func(T) error)
	if !ok && s.config.check != nil {
		return nil, engine.Permanent(fmt.Errorf("input %s: its records are %v, but the check is a %T", s.c.name, reflect.TypeFor[T](), s.config.check))
	}
	r := &reader[T]{c: s.c, config: s.config, format: f, check: check, pace: newPace(s.config.rate)}
	if at != beginning && f.needsHeader() {
		if err := r.readHeader(ctx, at); err != nil {
			return nil, err
		}
	}
	if err := r.open(ctx, at); err != nil {
		return nil, err
	}
	return r, nil
}

// reader reads rows from one place on.
type reader[T any] struct {
	c      *content
	config config
	format format[T]
	check  func(T) error // or nil
	pace   *pace
	feed   feed
	rows   *rows
}

func (r *reader[T]) open(ctx context.Context, at place) error {
	f, err := r.c.start(ctx, at)
	if err != nil {
		return err
	}
	r.feed, r.rows = f, newRows(f, r.format, at, r.config.maxRow)
	return nil
}

// readHeader reads the beginning of a file that is then read from another place on. The header may not have come yet
// there: then nothing but empty lines lies before it.
func (r *reader[T]) readHeader(ctx context.Context, before place) error {
	if err := r.open(ctx, beginning); err != nil {
		return err
	}
	defer r.feed.Close()
	for r.format.needsHeader() && r.rows.done.offset < before.offset {
		row, err := r.rows.next(ctx, true)
		if err == io.EOF {
			return nil // the file is shorter now, which is for the opening at the place itself to say
		}
		if err == nil {
			_, err = r.format.decode(row, new(T))
		}
		if err != nil {
			return r.fail(err)
		}
	}
	return nil
}

// Read implements [engine.Reader].
func (r *reader[T]) Read(ctx context.Context, b *engine.Batch[T]) error {
	used, err := r.fill(ctx, r.pace.wait(ctx), b)
	r.pace.spend(used)
	return err
}

// fill reads up to the given number of rows.
func (r *reader[T]) fill(ctx context.Context, allowed int, b *engine.Batch[T]) (used int, err error) {
	for used < allowed && !b.Full() {
		row, err := r.rows.next(ctx, b.Len() == 0)
		switch {
		case err == errPause:
			return used, nil
		case err == io.EOF:
			return used, io.EOF
		case err == nil:
			err = r.add(row, b)
		}
		switch {
		case err == nil:
			used++
			continue
		case err == errNoRecord:
		case r.config.onError == Skip && isRowFault(err) && !r.format.needsHeader():
			b.Skip()
			used++
		default:
			return used, r.fail(err)
		}
		if ctx.Err() != nil { // asked for only here: a batch ends by itself, a stretch without records need not
			return used, nil
		}
	}
	return used, nil
}

// errNoRecord is for rows that are as they should be and hold none.
var errNoRecord = errors.New("row without a record")

func (r *reader[T]) add(row []byte, b *engine.Batch[T]) error {
	rec := b.Next()
	held, err := r.format.decode(row, rec)
	if err == nil && held && r.check != nil {
		if err = r.check(*rec); err != nil {
			err = &spotError{column: 1, err: err}
		}
	}
	if err == nil && held {
		return nil
	}
	b.Undo()
	if err == nil {
		err = errNoRecord
	}
	return err
}

func isRowFault(err error) bool {
	spot, ok := errors.AsType[*spotError](err)
	return ok && !spot.fatal || err == errTooLong
}

// fail says where in the file the last row went wrong.
func (r *reader[T]) fail(err error) error {
	if err == errTooLong {
		err = &spotError{column: r.config.maxRow + 1, err: fmt.Errorf("row is longer than %d bytes", r.config.maxRow)}
	}
	if spot, ok := errors.AsType[*spotError](err); ok {
		at := &RowError{File: r.c.name, Line: r.rows.row.line + int64(spot.line), Column: int64(spot.column), Err: spot.err}
		return engine.Permanent(at)
	}
	return err
}

// Position implements [engine.Reader].
func (r *reader[T]) Position() engine.Position { return r.rows.done.position() }

// Close implements [engine.Reader].
func (r *reader[T]) Close() error { return r.feed.Close() }
