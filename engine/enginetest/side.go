package enginetest

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/pagetide/pagetide/engine"
)

// Side returns all that the operator of a [Harness] or [Harness2] has sent to a side output. The first call for a tag
// connects it: the operator starts over and everything that the harness was told so far is done once more, so that nothing
// is missing.
func Side[T, Out any](h harness[Out], tag engine.Side[T]) []T {
	d := h.driver()
	d.t.Helper()
	name := string(tag) + " " + reflect.TypeFor[T]().String()
	for _, s := range d.sides {
		if s.name == name {
			return s.rows.(*rows[T]).all()
		}
	}
	r := &rows[T]{}
	d.sides = append(d.sides, &side[Out]{
		name: name, rows: r, clear: r.clear,
		attach: func(of engine.Stream[Out]) {
			engine.To(engine.SideOutput(of, tag), "enginetest.side."+string(tag), r.sink())
		},
	})
	if err := d.again(); err != nil {
		d.t.Fatalf("side output %q: %v", string(tag), err)
	}
	return r.all()
}

// harness is either kind of it.
type harness[Out any] interface{ driver() *driver[Out] }

// side is a side output that is collected.
type side[Out any] struct {
	name   string
	rows   any // *rows[T]
	clear  func()
	attach func(of engine.Stream[Out])
}

// rows are what an output has brought.
type rows[T any] struct {
	mu   sync.Mutex // guards list
	list []T
}

func (r *rows[T]) sink() engine.Sink[T] {
	return engine.SinkFunc(func(_ context.Context, batch []T) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.list = append(r.list, batch...)
		return nil
	})
}

func (r *rows[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

func (r *rows[T]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
}

func (r *rows[T]) want(t testing.TB, what string, want []T) {
	t.Helper()
	if got := r.all(); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%s\n    %+v\nwant\n    %+v", what, got, want)
	}
}
