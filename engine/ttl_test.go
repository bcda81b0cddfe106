package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/mmapstate"
)

const life = 1500 * time.Second

// mortals has a state of each kind with a TTL, and states without one that remember when lives began.
type mortals struct {
	now     func(*engine.Context) engine.Time // the watermark, or the clock's
	begin   func(*engine.Context) engine.Time // when the life of what is written begins
	cell    engine.Cell[int64]
	value   engine.ValueState[string]
	list    engine.ListState[string]
	byField engine.MapState[string, []int64]
	cells   engine.CellMap[int64, int64]

	wrote engine.Cell[engine.Time]
	times engine.ListState[engine.Time] // of the list's elements
}

func newMortals(s *engine.Setup, ttl ...engine.StateOption) *mortals {
	return &mortals{
		now:     (*engine.Context).Watermark,
		begin:   func(ctx *engine.Context) engine.Time { return max(ctx.Time(), ctx.Watermark()) },
		cell:    engine.NewCell[int64](s, "cell", ttl...),
		value:   engine.NewValueState[string](s, "value", ttl...),
		list:    engine.NewListState[string](s, "list", ttl...),
		byField: engine.NewMapState[string, []int64](s, "map", ttl...),
		cells:   engine.NewCellMap[int64, int64](s, "cells", ttl...),
		wrote:   engine.NewCell[engine.Time](s, "wrote"),
		times:   engine.NewListState[engine.Time](s, "times"),
	}
}

// check compares what is there with what the time says must be there.
func (m *mortals) check(ctx *engine.Context, key string) error {
	now, living := m.now(ctx), 0
	for at := range m.times.All(ctx) {
		if living > 0 || now.Sub(at) < life {
			living++
		}
	}
	at, was := m.wrote.Get(ctx)
	alive := was && now.Sub(at) < life
	_, cell := m.cell.Get(ctx)
	value, some := m.value.Get(ctx)
	numbers, field := m.byField.Get(ctx, key)
	_, inCells := m.cells.Get(ctx, 7)
	got := slices.Collect(m.list.All(ctx))
	all := maps.Collect(m.byField.All(ctx))
	switch {
	case cell != alive || some != alive || field != alive || inCells != alive || len(all) != m.byField.Len(ctx) || (len(all) == 1) != alive:
		return fmt.Errorf("written at %s, time %s: %v %v %v %v %v", at, now, cell, some, field, inCells, all)
	case alive && (value != key || len(numbers) != 2):
		return fmt.Errorf("value %q and %v of %q", value, numbers, key)
	case len(got) != living || m.list.Len(ctx) != living:
		return fmt.Errorf("%d elements at %s, want %d", len(got), now, living)
	}
	return nil
}

func (m *mortals) OnRecord(ctx *engine.Context, key string, e event, out engine.Out[string]) error {
	if err := m.check(ctx, key); err != nil {
		return engine.Permanent(err)
	}
	if p := m.cells.Ref(ctx, 7); *p == 0 {
		out.Emit("fresh " + key)
		*p = 1
	}
	*m.cell.Ref(ctx) = 1
	m.value.Set(ctx, key)
	m.list.Append(ctx, key)
	m.byField.Put(ctx, key, []int64{1, 2})
	begin := m.begin(ctx)
	m.times.Append(ctx, begin)
	m.wrote.Set(ctx, max(begin, *m.wrote.Ref(ctx)))
	return nil
}

// TestTTLInEventTime checks each look at states with a TTL against the watermark, with a restart in the middle and a stop
// and resume at another parallelism.
func TestTTLInEventTime(t *testing.T) {
	dir := t.TempDir()
	var failed, counted atomic.Int64
	build := func(half chan<- bool) *engine.Job {
		job := engine.NewJob("mortal")
		src := engine.From(job, "in", engine.SliceSource(events(6_000)...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		src = engine.Filter(src, func(e event) bool {
			if n := counted.Add(1); n == 3_000 && half != nil {
				half <- true
			}
			return true
		})
		found := engine.Process(engine.KeyBy(src, func(e event) string { return fmt.Sprint(e.Key, e.N%37) }), "mortals",
			func(s *engine.Setup) engine.Processor[string, event, string] {
				m := newMortals(s, engine.TTL(life))
				return engine.Func[string, event, string](func(ctx *engine.Context, key string, e event, out engine.Out[string]) error {
					if e.N == 1_200 && failed.Add(1) == 1 {
						return errors.New("injected")
					}
					return m.OnRecord(ctx, key, e, out)
				})
			})
		engine.To(found, "out", newLog())
		return job
	}
	o := engine.Options{Restart: quick(), Checkpoints: engine.Checkpoints{Dir: dir, Interval: time.Millisecond}, Restore: engine.Resume()}
	half := make(chan bool, 10)
	r := start(t, build(half), o)
	select {
	case <-half:
	case <-r.Done():
		t.Fatal(r.Wait())
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Parallelism = 2
	if err := build(nil).Run(t.Context(), o); err != nil && r.Outcome().State == engine.Stopped {
		t.Fatal(err)
	}
	if failed.Load() == 0 {
		t.Error("there was no restart")
	}
}

// TestExpiryIsForRecords takes checkpoints of a job at rest whose state has lived its time: they write nothing. What a barrier
// removed would be dirty until the next checkpoint, and a job short of memory would go from barrier to barrier.
func TestExpiryIsForRecords(t *testing.T) {
	const keys = 3_000
	in, last := make(chan event), make(chan bool, 1)
	job := engine.NewJob("at rest")
	src := engine.From(job, "in", engine.FromChannel(in, 64), engine.EventTime(func(e event) time.Time { return e.At }, engine.Monotonous()))
	found := engine.Process(engine.KeyBy(src, func(e event) int64 { return e.N }), "mortals",
		func(s *engine.Setup) engine.Processor[int64, event, string] {
			cell := engine.NewCell[int64](s, "cell", engine.TTL(life))
			return engine.Func[int64, event, string](func(ctx *engine.Context, _ int64, e event, _ engine.Out[string]) error {
				*cell.Ref(ctx)++
				if e.N == keys {
					last <- true
				}
				return nil
			})
		})
	engine.To(found, "out", newLog())
	r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
	for n := range int64(keys + 1) {
		at := t0
		if n == keys {
			at = t0.Add(10 * life)
		}
		select {
		case in <- event{N: n, At: at}:
		case <-r.Done():
			t.Fatal(r.Wait())
		}
	}
	<-last
	for i := range 4 {
		cp, err := r.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if wrote := cp.Bytes > 0; wrote != (i == 0) {
			t.Errorf("checkpoint %d wrote %d bytes", cp.ID, cp.Bytes)
		}
	}
	if err := r.Cancel(); err != nil {
		t.Fatal(err)
	}
}

// TestTTLIsRefused names the state and what to use.
func TestTTLIsRefused(t *testing.T) {
	job := engine.NewJob("refused")
	src := engine.From(job, "in", engine.SliceSource(events(1)...))
	found := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "op", func(s *engine.Setup) engine.Processor[string, event, string] {
		engine.NewCell[int64](s, "a", engine.TTL(time.Hour))
		engine.NewListState[string](s, "b", engine.TTL(0, engine.ProcessingTime))
		engine.NewCellMap[string, string](s, "c")
		engine.NewMapState[float64, chan int](s, "d")
		engine.NewCell[int64](s, "e", engine.Encoded(mmapstate.CBOR[int64]()))
		engine.NewValueState[int64](s, "d.items", engine.TTL(time.Hour, engine.ProcessingTime, engine.RenewOnRead))
		return engine.Func[string, event, string](func(*engine.Context, string, event, engine.Out[string]) error { return nil })
	})
	engine.To(found, "out", newLog())
	err := job.Run(t.Context(), engine.Options{})
	for _, want := range []string{
		`cell "a": its TTL is in event time, which the stream does not have`, `list state "b": its TTL is not positive`,
		`cell map "c": string is a string, which is not flat`, `map state "d": key: float64`, `chan int cannot be encoded`,
		`cell "e" is kept in place: it takes no codec`, `the name "d.items" is used twice`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nmisses %q", err, want)
		}
	}
}
