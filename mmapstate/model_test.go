package mmapstate

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// The random model of the tables: cells, byte strings, lists, maps and an index over several kinds of keys against Go
// maps, with freezes, gathering, commits, aborts, evictions, sweeps and restores in between. A restored store must equal
// the maps at the barrier. Some kinds have a TTL, which changes at restores; see model_ttl_test.go.

type modelKey struct {
	k  Key
	id string
}

type timed struct {
	id string
	at int64
}

type modelState struct {
	cells map[string]mortal[[3]uint64]
	bytes map[string]mortal[string]
	index map[timed]Key
	lists map[string]*modelList
	maps  map[string]map[string]mortal[string]
}

func newModelState() modelState {
	return modelState{map[string]mortal[[3]uint64]{}, map[string]mortal[string]{}, map[timed]Key{}, map[string]*modelList{}, map[string]map[string]mortal[string]{}}
}

func (m modelState) clone() modelState {
	c := modelState{maps.Clone(m.cells), maps.Clone(m.bytes), maps.Clone(m.index), maps.Clone(m.lists), maps.Clone(m.maps)}
	for k, l := range c.lists {
		c.lists[k] = &modelList{key: l.key, items: slices.Clone(l.items), read: l.read}
	}
	for k, of := range c.maps {
		c.maps[k] = maps.Clone(of)
	}
	return c
}

// modelTables are the states of one key type.
type modelTables struct {
	cells  *Cells
	bytes  *Bytes
	index  *Index
	lists  *Lists // nil for keys that cannot have any
	maps   *Maps
	keys   map[string]Key // of lists and maps
	found  map[string]Found
	ttl    TTL
	ttls   [2]TTL // of snap and last
	now    [2]int64
	record int64
	want   modelState
	snap   modelState
	last   modelState
}

type modelSim struct {
	r     *rand.Rand
	s     *Store
	chain *chain
	read  *reader
	kinds []*modelTables
	shape []KeyShape
	ids   int // how many keys there are
	now   int64
}

const modelGroups = 3

func newModelSim(seed uint64) (*modelSim, error) {
	m := &modelSim{r: rand.New(rand.NewPCG(seed, 5)), chain: &chain{}, ids: 1500}
	fixed := KeyShape{Fixed: 8, Fingerprint: "u64"}
	text := KeyShape{Fingerprint: "string"}
	m.shape = []KeyShape{fixed, text, fixed.With(), text.With(), {Fixed: 24, Fingerprint: "wide"}}
	m.s = New(Options{KeyGroups: modelGroups, HashSeed: 1 + seed})
	for range m.shape {
		m.kinds = append(m.kinds, &modelTables{want: newModelState(), last: newModelState(), ttl: m.someTTL(), keys: map[string]Key{}})
	}
	m.tick(1)
	return m, m.declare()
}

func (m *modelSim) declare() (err error) {
	for i, t := range m.kinds {
		t.found = nil
		if t.cells, err = m.s.Cells(fmt.Sprint("cells", i), m.shape[i], 24, "3u64", t.ttl); err != nil {
			return err
		}
		if t.bytes, err = m.s.Bytes(fmt.Sprint("bytes", i), m.shape[i], "raw", t.ttl); err != nil {
			return err
		}
		if m.shape[i].Suffix == 0 {
			if err := t.declareNested(m.s, i, m.shape[i]); err != nil {
				return err
			}
		}
		if t.index, err = m.s.Index(fmt.Sprint("index", i), m.shape[i]); err != nil {
			return err
		}
	}
	return nil
}

// key makes one of the keys of a kind. A tenth of the string keys share one hash.
func (m *modelSim) key(kind int) modelKey { return m.keyOf(kind, uint64(m.r.IntN(m.ids))) }

func (m *modelSim) keyOf(kind int, n uint64) modelKey {
	shape, seed := m.shape[kind], m.s.HashSeed()
	var b []byte
	switch {
	case kind == 4:
		b = append(store8(n), make([]byte, 16)...)
	case shape.Fixed > 0:
		b = store8(n)
	default:
		b = fmt.Appendf(nil, "key %d %s", n, bytes.Repeat([]byte("x"), int(n%70)*int(n%3)))
	}
	k := Key{Hash: hashKey(b, shape.Fixed > 0, seed), Bytes: b}
	if shape.Fixed == 0 && n%10 == 0 { // such keys must be long: the hash of short ones is computed from them
		b = fmt.Appendf(b, "%*d", varKey, n)
		k = Key{Hash: 42, Bytes: b}
	}
	k.Group = groupOf(k.Hash, modelGroups)
	if shape.Suffix > 0 {
		var scratch []byte
		k = k.With(n/2, &scratch)
	}
	return modelKey{k, string(k.Bytes)}
}

func store8(n uint64) []byte {
	return append([]byte(nil), (&[8]byte{byte(n), byte(n >> 8), byte(n >> 16)})[:]...)
}

func (m *modelSim) step() error {
	kind := m.r.IntN(len(m.kinds))
	t, k := m.kinds[kind], m.key(kind)
	grow := m.r.IntN(10) < 6
	m.tick(int64(m.r.IntN(4)) / 3)
	switch x := m.r.IntN(1000); {
	case x < 200:
		if m.r.IntN(40) == 0 {
			m.look(kind)
		}
		return t.stepCells(m.r, k, grow)
	case x < 400:
		return t.stepBytes(m.r, k, grow)
	case x < 800 && t.lists != nil:
		return t.stepNested(m.r, k)
	case x < 960:
		return t.stepIndex(m.r, k, grow)
	case x < 975:
		m.s.Expire(1 + m.r.IntN(100))
	case x < 980:
		return m.freeze()
	case x < 990 && m.s.cut != nil:
		m.s.cut.step(m.r.IntN(40), false)
		return m.read.drain()
	case x < 993:
		return m.commit()
	case x < 995:
		return m.abort()
	case x < 997:
		if m.chain.id > 0 {
			m.s.Evict(1 << 18)
		}
	case x < 998:
		return m.restore()
	default:
		return m.s.Maintain()
	}
	return nil
}

// look finds some keys ahead; what it finds is used for as long as it is good for anything.
func (m *modelSim) look(kind int) {
	t, keys, found := m.kinds[kind], make([]Key, 200), make([]Found, 200)
	ids := make([]string, len(keys))
	for i := range keys {
		k := m.key(kind)
		keys[i], ids[i] = k.k, k.id
	}
	t.cells.Look(keys, found)
	t.found = map[string]Found{}
	for i, id := range ids {
		t.found[id] = found[i]
	}
}

func (t *modelTables) stepCells(r *rand.Rand, k modelKey, grow bool) error {
	want, was := alive(t, t.want.cells, k.id)
	f := t.found[k.id]
	if p := (*[3]uint64)(t.cells.PeekAt(&f, &k.k)); (p != nil) != was || was && *p != want {
		return fmt.Errorf("peek %q: %v, want %v %v", k.id, p, want, was)
	}
	if !grow {
		delete(t.want.cells, k.id)
		if got := t.cells.Delete(k.k); got != was {
			return fmt.Errorf("delete %q: %v, want %v", k.id, got, was)
		}
		return nil
	}
	p := (*[3]uint64)(t.cells.RefAt(&f, &k.k))
	if *p != want {
		return fmt.Errorf("ref %q: %v, want %v", k.id, *p, want)
	}
	p[r.IntN(3)] = r.Uint64()
	put(t, t.want.cells, k.id, *p)
	return nil
}

func (t *modelTables) stepBytes(r *rand.Rand, k modelKey, grow bool) error {
	want, was := alive(t, t.want.bytes, k.id)
	if got, ok := t.bytes.Get(k.k, nil); ok != was || string(got) != want {
		return fmt.Errorf("get %q: %d bytes %v, want %d bytes %v", k.id, len(got), ok, len(want), was)
	}
	if !grow {
		delete(t.want.bytes, k.id)
		if got := t.bytes.Delete(k.k); got != was {
			return fmt.Errorf("delete %q: %v, want %v", k.id, got, was)
		}
		return nil
	}
	n := r.IntN(100)
	if r.IntN(50) == 0 {
		n = r.IntN(10000)
	}
	v := bytes.Repeat([]byte{byte(r.Uint32())}, n)
	put(t, t.want.bytes, k.id, string(v))
	return t.bytes.Put(k.k, v)
}

func (t *modelTables) stepIndex(r *rand.Rand, k modelKey, grow bool) error {
	at := int64(r.IntN(5)) - 2
	_, was := t.want.index[timed{k.id, at}]
	if grow {
		if got := t.index.Insert(k.k, at); got == was {
			return fmt.Errorf("insert %q at %d: %v", k.id, at, got)
		}
		t.want.index[timed{k.id, at}] = k.k
		return nil
	}
	if r.IntN(2) == 0 {
		delete(t.want.index, timed{k.id, at})
		if got := t.index.Delete(k.k, at); got != was {
			return fmt.Errorf("delete %q at %d: %v", k.id, at, got)
		}
		return nil
	}
	first, some := t.index.Min()
	got, key, ok := t.index.Pop(at, nil)
	if ok != (some && first <= at) || ok && got != first {
		return fmt.Errorf("pop up to %d: %d %v, but the earliest is %d %v", at, got, ok, first, some)
	}
	if !ok {
		return nil
	}
	was2, there := t.want.index[timed{string(key.Bytes), got}]
	if !there || was2.Hash != key.Hash || was2.Group != key.Group {
		return fmt.Errorf("pop gave %q at %d, which was not there", key.Bytes, got)
	}
	delete(t.want.index, timed{string(key.Bytes), got})
	return nil
}

func (m *modelSim) freeze() error {
	if m.s.Cut() != nil {
		return nil
	}
	c, err := m.s.Freeze()
	if err != nil {
		return err
	}
	m.read = newReader(c)
	for _, t := range m.kinds {
		t.snap, t.ttls[0] = t.want.clone(), t.ttl
	}
	return nil
}

func (m *modelSim) commit() error {
	if m.s.cut == nil {
		return nil
	}
	for !m.read.done {
		m.s.Gather(time.Hour)
		if err := m.read.drain(); err != nil {
			return err
		}
	}
	m.s.cut.Done(verdict(m.chain.commit(m.read)))
	if done, err := m.s.Settle(); !done || err != nil {
		return fmt.Errorf("settle: %v, %w", done, err)
	}
	m.s.SetLoader(m.chain)
	for _, t := range m.kinds {
		t.last, t.ttls[1] = t.snap, t.ttls[0]
	}
	return nil
}

func (m *modelSim) abort() error {
	if m.s.cut == nil {
		return nil
	}
	v := verdict(m.chain.Base()) // before the end of the chunks: no success
	if m.read.done {
		v.Err = meta.ErrAborted
	}
	m.s.cut.Done(v)
	if done, err := m.s.Settle(); !done || err == nil {
		return fmt.Errorf("settle after an abort: %v, %v", done, err)
	}
	return m.s.Check()
}

func (m *modelSim) restore() (err error) {
	if m.chain.id == 0 {
		return nil
	}
	m.s.Close()
	if m.s, err = Open(Options{Lazy: m.r.IntN(2) == 0}, m.chain); err != nil {
		return err
	}
	m.tick(0)
	was := make([]TTL, len(m.kinds))
	for i, t := range m.kinds {
		t.want = t.last.clone()
		if was[i] = t.ttls[1]; m.r.IntN(2) == 0 {
			t.ttl = m.someTTL()
		}
	}
	if err := m.declare(); err != nil {
		return err
	}
	if err := m.adopt(was); err != nil {
		return err
	}
	if m.r.IntN(2) == 0 {
		return nil // go on with absent pages
	}
	return m.compare()
}

// compare reads everything.
func (m *modelSim) compare() error {
	for i, t := range m.kinds {
		if err := t.compare(); err != nil {
			return fmt.Errorf("kind %d: %w", i, err)
		}
	}
	return m.s.Check()
}

func (t *modelTables) compare() error {
	got := newModelState()
	cells, byteStrings := map[string][3]uint64{}, map[string]string{}
	for k, p := range t.cells.All() {
		cells[string(k.Bytes)] = *(*[3]uint64)(p)
	}
	for k, v := range t.bytes.All() {
		byteStrings[string(k.Bytes)] = string(v)
	}
	if err := t.compareNested(); err != nil {
		return err
	}
	var times []int64
	for at, k := range t.index.All() {
		got.index[timed{string(k.Bytes), at}] = k
		times = append(times, at)
	}
	switch {
	case !maps.Equal(cells, living(t, t.want.cells)) || t.cells.Len() < len(cells):
		return fmt.Errorf("cells differ: %d, want %d", len(cells), len(living(t, t.want.cells)))
	case !maps.Equal(byteStrings, living(t, t.want.bytes)) || t.bytes.Len() < len(byteStrings):
		return fmt.Errorf("byte strings differ: %d, want %d", len(byteStrings), len(living(t, t.want.bytes)))
	case t.ttl.After == 0 && (t.cells.Len() != len(cells) || t.bytes.Len() != len(byteStrings)):
		return fmt.Errorf("%d cells and %d byte strings are counted, want %d and %d", t.cells.Len(), t.bytes.Len(), len(cells), len(byteStrings))
	case !slices.IsSorted(times) || len(times) != len(t.want.index) || t.index.Len() != len(times):
		return fmt.Errorf("index of %d entries, want %d", len(times), len(t.want.index))
	}
	for k := range t.want.index {
		if _, ok := got.index[k]; !ok {
			return fmt.Errorf("index misses %q at %d", k.id, k.at)
		}
	}
	return nil
}

func (m *modelSim) run(steps int) (err error) {
	defer catch(&err)
	defer func() { m.s.Close() }()
	for i := range steps {
		switch i {
		case steps / 2:
			if err := m.purge(); err != nil {
				return err
			}
		case steps / 4 * 3:
			m.ids = 60 // most deletes hit
		}
		if err := m.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return m.compare()
}

// purge deletes nine of ten cells and byte strings: buckets merge.
func (m *modelSim) purge() error {
	for kind, t := range m.kinds {
		for n := range uint64(m.ids) {
			if n%10 == 0 {
				continue
			}
			k := m.keyOf(kind, n)
			if err := t.stepCells(m.r, k, false); err != nil {
				return err
			}
			if err := t.stepBytes(m.r, k, false); err != nil {
				return err
			}
		}
	}
	for range 400 {
		if err := m.s.Maintain(); err != nil {
			return err
		}
	}
	return nil
}

func TestTablesAgainstModel(t *testing.T) {
	seeds := uint64(30)
	if raceBuild {
		seeds = 3
	}
	for seed := range seeds {
		m, err := newModelSim(seed)
		if err == nil {
			err = m.run(20000)
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
