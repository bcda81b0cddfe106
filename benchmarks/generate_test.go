package benchmarks

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/pagetide/pagetide/engine"
)

// generate is a source of n records, record i made by at(i). It allocates nothing per record.
func generate[T any](n int64, at func(int64) T) engine.Source[T] { return generator[T]{n, at} }

type generator[T any] struct {
	n  int64
	at func(int64) T
}

func (g generator[T]) Splits(context.Context) ([]engine.Split, bool, error) {
	return []engine.Split{{ID: "all"}}, true, nil
}

func (g generator[T]) Open(_ context.Context, _ engine.Split, from engine.Position) (engine.Reader[T], error) {
	r := &generating[T]{generator: g}
	if from != "" {
		i, err := strconv.ParseInt(string(from), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("position %q: %w", from, err)
		}
		r.i = i
	}
	return r, nil
}

type generating[T any] struct {
	generator[T]
	i int64
}

func (r *generating[T]) Read(_ context.Context, b *engine.Batch[T]) error {
	for r.i < r.n {
		rec := b.Next()
		if rec == nil {
			return nil
		}
		*rec = r.at(r.i)
		r.i++
	}
	return io.EOF
}

func (r *generating[T]) Position() engine.Position {
	return engine.Position(strconv.FormatInt(r.i, 10))
}
func (r *generating[T]) Close() error { return nil }

// scramble spreads record numbers over keys, the same way in every run.
func scramble(i int64) uint64 {
	x := uint64(i) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}
