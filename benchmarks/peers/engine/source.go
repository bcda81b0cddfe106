package main

import (
	"context"
	"fmt"
	"math/bits"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// click is the record of all pipelines.
type click struct {
	User uint64
	At   engine.Time
}

// clicks makes record i: each of the users once, then as drawn, evenly; a million of them in a second of event time.
func clicks(users int64) func(i int64) click {
	return func(i int64) click {
		if i < users {
			return click{uint64(i), engine.Time(i) * 1000}
		}
		user, _ := bits.Mul64(mix(uint64(i)), uint64(users))
		return click{user, engine.Time(i) * 1000}
	}
}

// mix is splitmix64: numbers without visible order, the same in every run.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// source is in process, replayable and without end. Split s of n has the records i = s, s+n, s+2n ... made by at(i). It stops
// and goes on as its gates say.
type source[T any] struct {
	at    func(int64) T
	gates []*gate
}

func newSource[T any](at func(int64) T, splits int) *source[T] {
	s := &source[T]{at: at}
	for range splits {
		s.gates = append(s.gates, &gate{wake: make(chan struct{}, 1), parked: make(chan int64)})
	}
	return s
}

// gate stops the reader of a split and lets it go on.
type gate struct {
	limit  atomic.Int64 // records before it may be read
	pace   atomic.Pointer[pace]
	wake   chan struct{} // look at limit again
	parked chan int64    // the reader stands here, and waits
}

// pace is when records are due: number first at start, the others at a rate. Nil: as fast as can be.
type pace struct {
	first int64
	start time.Time
	rate  float64 // records a second
}

func (g *gate) open(limit int64) {
	g.limit.Store(limit)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (s *source[T]) Splits(context.Context) (all []engine.Split, final bool, err error) {
	for i := range s.gates {
		all = append(all, engine.Split{ID: strconv.Itoa(i)})
	}
	return all, true, nil
}

func (s *source[T]) Open(_ context.Context, split engine.Split, from engine.Position) (engine.Reader[T], error) {
	no, err := strconv.Atoi(split.ID)
	if err != nil {
		return nil, err
	}
	r := &reader[T]{at: s.at, i: int64(no), step: int64(len(s.gates)), gate: s.gates[no]}
	if from != "" {
		if r.i, err = strconv.ParseInt(string(from), 10, 64); err != nil {
			return nil, fmt.Errorf("position %q: %w", from, err)
		}
	}
	return r, nil
}

type reader[T any] struct {
	at      func(int64) T
	i, step int64
	gate    *gate
}

func (r *reader[T]) Read(ctx context.Context, b *engine.Batch[T]) error {
	for {
		end := r.gate.limit.Load()
		if p := r.gate.pace.Load(); p != nil {
			end = min(end, p.first+int64(time.Since(p.start).Seconds()*p.rate))
			if end <= r.i && end < r.gate.limit.Load() && ctx.Err() == nil {
				runtime.Gosched() // the next one is due soon
				continue
			}
		}
		if r.i < end {
			r.fill(b, end)
			return nil
		}
		select {
		case <-r.gate.wake:
		case r.gate.parked <- r.i:
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *reader[T]) fill(b *engine.Batch[T], end int64) {
	for r.i < end {
		rec := b.Next()
		if rec == nil {
			return
		}
		*rec = r.at(r.i)
		r.i += r.step
	}
}

func (r *reader[T]) Position() engine.Position {
	return engine.Position(strconv.FormatInt(r.i, 10))
}

func (r *reader[T]) Close() error { return nil }
