package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// op is a step on the states of one key.
type op struct {
	Key string
	Do  int
	N   int64
}

// rich is a value that is not flat.
type rich struct {
	Text  string
	At    time.Time
	Deep  map[string][]nested
	Maybe *int64
}

type nested struct {
	A []byte
	B [2]float64
}

func richOf(n int64) rich {
	r := rich{Text: strings.Repeat("é", int(n%40)), At: t0.Add(time.Duration(n) * 7)}
	if n%3 == 0 {
		r.Deep = map[string][]nested{fmt.Sprint(n): {{A: []byte{byte(n)}, B: [2]float64{float64(n), -1}}, {}}}
	}
	if n%2 == 0 {
		r.Maybe = &n
	}
	return r
}

func (r rich) String() string {
	maybe := "none"
	if r.Maybe != nil {
		maybe = fmt.Sprint(*r.Maybe)
	}
	return fmt.Sprintf("%s %d %v %s", r.Text, r.At.UnixNano(), r.Deep, maybe)
}

type flatItem struct{ N, Twice int64 }

// states are all kinds of state; model is what they should hold.
type states struct {
	cell  engine.Cell[flatItem]
	flat  engine.ValueState[flatItem]
	value engine.ValueState[rich]
	when  engine.ValueState[time.Time]
	items engine.ListState[flatItem]
	texts engine.ListState[rich]
	byN   engine.MapState[int64, rich]
	flats engine.CellMap[string, flatItem]
}

type model struct {
	cell  *flatItem
	flat  *flatItem
	value *rich
	when  *time.Time
	items []flatItem
	texts []rich
	byN   map[int64]rich
	flats map[string]flatItem
}

func (m *model) do(o op) {
	item := flatItem{o.N, 2 * o.N}
	switch o.Do {
	case 0:
		if m.cell == nil {
			m.cell = &flatItem{}
		}
		m.cell.N += o.N
	case 1:
		m.cell = nil
	case 2:
		m.flat = &item
	case 3:
		m.flat, m.value, m.when = nil, nil, nil
	case 4:
		r := richOf(o.N)
		m.value, m.when = &r, &r.At
	case 5:
		m.items, m.texts = append(m.items, item), append(m.texts, richOf(o.N))
	case 6:
		n := min(int(o.N%4), len(m.items))
		m.items, m.texts = m.items[n:], m.texts[n:]
	case 7:
		m.items, m.texts, m.byN, m.flats = nil, nil, nil, nil
	case 8:
		if m.byN == nil {
			m.byN, m.flats = map[int64]rich{}, map[string]flatItem{}
		}
		f := m.flats[fmt.Sprint(o.N%9)]
		f.N += o.N
		m.byN[o.N%9], m.flats[fmt.Sprint(o.N%9)] = richOf(o.N), f
	case 9:
		delete(m.byN, o.N%9)
		delete(m.flats, fmt.Sprint(o.N%9))
	}
}

func (m *model) String() string {
	s := ""
	if m.cell != nil {
		s += fmt.Sprint(" cell ", *m.cell)
	}
	if m.flat != nil {
		s += fmt.Sprint(" flat ", *m.flat)
	}
	if m.value != nil {
		s += fmt.Sprint(" value ", *m.value)
	}
	if m.when != nil {
		s += fmt.Sprint(" when ", m.when.UnixNano())
	}
	for n := range int64(9) {
		if r, ok := m.byN[n]; ok {
			s += fmt.Sprint(" ", n, ": ", r, m.flats[fmt.Sprint(n)])
		}
	}
	return fmt.Sprint(s, " items ", m.items, " texts ", m.texts, " ", len(m.items), len(m.texts), len(m.byN), len(m.flats))
}

func newStates(s *engine.Setup) *states {
	return &states{
		cell:  engine.NewCell[flatItem](s, "cell"),
		flat:  engine.NewValueState[flatItem](s, "flat"),
		value: engine.NewValueState[rich](s, "value"),
		when:  engine.NewValueState[time.Time](s, "when"),
		items: engine.NewListState[flatItem](s, "items"),
		texts: engine.NewListState[rich](s, "texts"),
		byN:   engine.NewMapState[int64, rich](s, "byN"),
		flats: engine.NewCellMap[string, flatItem](s, "flats"),
	}
}

// OnRecord does the step and emits what the key's states hold then.
func (s *states) OnRecord(ctx *engine.Context, key string, o op, out engine.Out[string]) error {
	item := flatItem{o.N, 2 * o.N}
	switch o.Do {
	case 0:
		s.cell.Ref(ctx).N += o.N
	case 1:
		s.cell.Clear(ctx)
	case 2:
		s.flat.Set(ctx, item)
	case 3:
		s.flat.Clear(ctx)
		s.value.Clear(ctx)
		s.when.Clear(ctx)
	case 4:
		s.value.Set(ctx, richOf(o.N))
		s.when.Set(ctx, richOf(o.N).At)
	case 5:
		s.items.Append(ctx, item)
		s.texts.Append(ctx, richOf(o.N))
	case 6:
		s.items.DropFirst(ctx, int(o.N%4))
		s.texts.DropFirst(ctx, int(o.N%4))
	case 7:
		s.items.Clear(ctx)
		s.texts.Clear(ctx)
		s.byN.Clear(ctx)
		s.flats.Clear(ctx)
	case 8:
		s.byN.Put(ctx, o.N%9, richOf(o.N))
		s.flats.Ref(ctx, fmt.Sprint(o.N%9)).N += o.N
	case 9:
		if s.byN.Delete(ctx, o.N%9) != s.flats.Delete(ctx, fmt.Sprint(o.N%9)) {
			return engine.Permanent(errors.New("two maps of the same fields differ"))
		}
	}
	var m model
	if v, ok := s.cell.Get(ctx); ok {
		m.cell = &v
	}
	if v, ok := s.flat.Get(ctx); ok {
		m.flat = &v
	}
	if v, ok := s.value.Get(ctx); ok {
		m.value = &v
	}
	if v, ok := s.when.Get(ctx); ok {
		m.when = &v
	}
	m.items = slices.AppendSeq([]flatItem{}, s.items.All(ctx))
	m.texts = slices.AppendSeq([]rich{}, s.texts.All(ctx))
	m.byN, m.flats = maps.Collect(s.byN.All(ctx)), maps.Collect(s.flats.All(ctx))
	for n, r := range m.byN {
		if got, ok := s.byN.Get(ctx, n); !ok || got.String() != r.String() {
			return engine.Permanent(errors.New("All and Get of a map differ"))
		}
	}
	if s.byN.Len(ctx) != len(m.byN) || s.flats.Len(ctx) != len(m.flats) || len(m.items) != s.items.Len(ctx) || len(m.texts) != s.texts.Len(ctx) {
		return engine.Permanent(errors.New("Len is not the number of elements"))
	}
	out.Emit(key + m.String())
	return nil
}

// TestStatesAgainstAModel takes random steps on every kind of state, while records, sinks and storage fail and the job is
// stopped, killed and resumed at other parallelisms, and compares what each key holds after each step with plain Go values.
func TestStatesAgainstAModel(t *testing.T) {
	eachSeed(t, 6, 2, func(t *testing.T, seed uint64) error {
		rnd := rand.New(rand.NewPCG(seed, 1))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 2))}
		ops, models, want := make([]op, 2_000), map[string]*model{}, []string(nil)
		for i := range ops {
			o := op{Key: fmt.Sprint("k", rnd.IntN(20)), Do: rnd.IntN(10), N: rnd.Int64N(1000)}
			if o.Do == 7 && rnd.IntN(4) > 0 {
				o.Do = 5
			}
			m := models[o.Key]
			if m == nil {
				m = &model{}
				models[o.Key] = m
			}
			m.do(o)
			want = append(want, o.Key+m.String())
			ops[i] = o
		}
		log := newLog()
		build := func() *engine.Job {
			job := engine.NewJob("states")
			byKey := engine.KeyBy(flaky(engine.From(job, "in", engine.SliceSource(ops...)), d), func(o op) string { return o.Key })
			engine.To(engine.Process(byKey, "states", newStates), "out", flakyLog(d, log))
			return job
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			return err
		}
		return wantRows("states", log.rows(), want)
	})
}

// TestFieldsComeAndGo reads a value that an older version of the program wrote.
func TestFieldsComeAndGo(t *testing.T) {
	type oldValue struct {
		Kept string
		Gone int
	}
	dir := t.TempDir()
	run := func(log *txnLog, build func(engine.Keyed[string, event]) engine.Stream[string], recs ...event) error {
		job := engine.NewJob("fields")
		in := newFeed[event](1)
		in.add(0, recs...)
		seen := make(chan struct{}, 10)
		src := engine.Map(engine.From(job, "in", in), func(e event) event { seen <- struct{}{}; return e })
		engine.To(build(engine.KeyBy(src, func(e event) string { return e.Key })), "out", log)
		r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()})
		until(t, "the record", seen)
		_, err := r.Stop(t.Context())
		return err
	}
	log := newLog()
	first := func(in engine.Keyed[string, event]) engine.Stream[string] {
		return engine.Process(in, "v", func(s *engine.Setup) engine.Func[string, event, string] {
			v := engine.NewValueState[oldValue](s, "v")
			return func(ctx *engine.Context, _ string, e event, out engine.Out[string]) error {
				v.Set(ctx, oldValue{"kept", 7})
				return nil
			}
		})
	}
	second := func(in engine.Keyed[string, event]) engine.Stream[string] {
		return engine.Process(in, "v", func(s *engine.Setup) engine.Func[string, event, string] {
			type oldValue struct { // the program's next version
				Kept string
				New  []int
			}
			v := engine.NewValueState[oldValue](s, "v")
			return func(ctx *engine.Context, _ string, e event, out engine.Out[string]) error {
				value, ok := v.Get(ctx)
				out.Emit(fmt.Sprintf("%t %+v", ok, value))
				return nil
			}
		})
	}
	if err := run(log, first, event{Key: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := run(log, second, event{Key: "a"}, event{Key: "a"}); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), []string{"true {Kept:kept New:[]}"})
}

// TestKeptContext uses a state outside of its callback: that is the program's mistake, and says so.
func TestKeptContext(t *testing.T) {
	job := engine.NewJob("kept")
	var kept *engine.Context
	byKey := engine.KeyBy(engine.From(job, "in", engine.SliceSource(events(2)...)), func(e event) string { return e.Key })
	var cell engine.Cell[int64]
	first := engine.Process(byKey, "first", func(s *engine.Setup) engine.Func[string, event, event] {
		cell = engine.NewCell[int64](s, "n")
		return func(ctx *engine.Context, _ string, e event, out engine.Out[event]) error {
			kept = ctx
			out.Emit(e)
			return nil
		}
	})
	second := engine.Map(first, func(e event) event { return e })
	engine.To(engine.Process(engine.KeyBy(second, func(e event) string { return e.Key }), "second",
		func(*engine.Setup) engine.Func[string, event, event] {
			return func(ctx *engine.Context, _ string, e event, _ engine.Out[event]) error {
				cell.Ref(ctx) // another operator's state
				return nil
			}
		}), "out", nowhere[event]())
	err := job.Run(t.Context(), engine.Options{Restart: engine.Restart{None: true}})
	contains(t, err, `state of operator "first" used outside of its callback`, `operator "second"`)
	_ = kept
}
