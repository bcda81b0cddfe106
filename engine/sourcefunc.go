package engine

import "context"

// SourceFunc makes a source of a function that reads from a position: of one split, which begins at the empty one. read adds
// records to the batch, in the way of [Reader].Read: it waits for at least one, stops when the batch is full, and returns
// nil when ctx ends; io.EOF ends the input. next is the place just after the last record added. Called again with a
// position that it has returned, it must give the same records. It is called by one goroutine at a time and keeps nothing
// between two calls, which suits a request that takes a cursor.
func SourceFunc[T any](read func(ctx context.Context, from Position, b *Batch[T]) (next Position, err error)) Source[T] {
	if read == nil {
		return nil // a mistake: no source
	}
	return funcSource[T](read)
}

type funcSource[T any] func(context.Context, Position, *Batch[T]) (Position, error)

func (f funcSource[T]) Splits(context.Context) ([]Split, bool, error) {
	return []Split{{ID: "func"}}, true, nil
}

func (f funcSource[T]) Open(_ context.Context, _ Split, from Position) (Reader[T], error) {
	return &funcReader[T]{read: f, at: from}, nil
}

type funcReader[T any] struct {
	read funcSource[T]
	at   Position
}

func (r *funcReader[T]) Read(ctx context.Context, b *Batch[T]) (err error) {
	r.at, err = r.read(ctx, r.at, b)
	return err
}

func (r *funcReader[T]) Position() Position { return r.at }
func (r *funcReader[T]) Close() error       { return nil }
