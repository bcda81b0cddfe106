package mmapstate

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

type visit struct {
	Page string
	At   time.Time
	Tags []string
}

// commit takes a checkpoint of a store, so that a test can reopen it.
func (c *chain) save(t *testing.T, s *Store) {
	t.Helper()
	cut := freeze(t, s)
	r := newReader(cut)
	for !r.done {
		s.Gather(time.Hour)
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
	}
	cut.Done(verdict(c.commit(r)))
	if _, err := s.Settle(); err != nil {
		t.Fatal(err)
	}
}

func restored(t *testing.T, c *chain) *Store {
	t.Helper()
	s, err := Open(Options{}, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newStoreFor(t *testing.T) *Store {
	t.Helper()
	s := New(Options{KeyGroups: 4, HashSeed: 1})
	t.Cleanup(func() { s.Close() })
	return s
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTypedStatesSurviveARestore(t *testing.T) {
	s, c := newStoreFor(t), &chain{}
	values := must(NewValueMap[string, visit](s, "values"))
	texts := must(NewValueMap[uint32, string](s, "texts"))
	raw := must(NewValueMap[uint32, []byte](s, "raw"))
	flat := must(NewValueMap[uint64, [2]int64](s, "flat"))
	lists := must(NewListMap[string, visit](s, "lists"))
	nested := must(NewNestedMap[string, string, int64](s, "nested"))
	at := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
	for i := range 300 {
		k := fmt.Sprint("user ", i)
		v := visit{Page: k, At: at.Add(time.Duration(i)), Tags: []string{"a", k}}
		for _, err := range []error{
			values.Set(k, v), texts.Set(uint32(i), k), raw.Set(uint32(i), []byte(k)), flat.Set(uint64(i), [2]int64{1, int64(i)}),
			lists.Append(k, v), lists.Append(k, v), nested.Put(k, "n", int64(i)), nested.Put(k, "m", 1),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	c.save(t, s)
	s = restored(t, c)
	values = must(NewValueMap[string, visit](s, "values"))
	texts = must(NewValueMap[uint32, string](s, "texts"))
	raw = must(NewValueMap[uint32, []byte](s, "raw"))
	flat = must(NewValueMap[uint64, [2]int64](s, "flat"))
	lists = must(NewListMap[string, visit](s, "lists"))
	nested = must(NewNestedMap[string, string, int64](s, "nested"))
	for i := range 300 {
		k := fmt.Sprint("user ", i)
		v, ok := values.Get(k)
		if !ok || v.Page != k || !v.At.Equal(at.Add(time.Duration(i))) || !slices.Equal(v.Tags, []string{"a", k}) {
			t.Fatalf("value of %s = %+v %v", k, v, ok)
		}
		text, _ := texts.Get(uint32(i))
		b, _ := raw.Get(uint32(i))
		f, _ := flat.Get(uint64(i))
		if text != k || string(b) != k || f != [2]int64{1, int64(i)} {
			t.Fatalf("%q %q %v of %d", text, b, f, i)
		}
		if got := maps.Collect(nested.All(k)); !maps.Equal(got, map[string]int64{"n": int64(i), "m": 1}) {
			t.Fatalf("map of %s = %v", k, got)
		}
		if n := len(slices.Collect(lists.All(k))); n != 2 || lists.Len(k) != 2 {
			t.Fatalf("list of %s has %d elements", k, n)
		}
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

type secret struct {
	_ string
	_ int64
}

type held struct {
	Name string
	At   map[int][]secret `json:"at"`
}

// shownInPart has exported fields, or encodes itself, or holds what is left out on purpose.
type shownInPart struct {
	sync.Mutex
	Name  string
	_     int64
	When  time.Time
	Large *big.Int
	Set   map[string]struct{}
	Next  *shownInPart
	Left  secret `cbor:"-"`
	inner
}

type inner struct{ Deep string }

// TestTypesThatShow: what CBOR keeps in part is as the user has it.
func TestTypesThatShow(t *testing.T) {
	if _, err := NewForm[shownInPart](); err != nil {
		t.Error(err)
	}
	if _, err := NewForm[struct{ inner }](); err != nil {
		t.Error(err)
	}
}

func TestDeclarationsAreRefused(t *testing.T) {
	s := newStoreFor(t)
	keyer := must(NewKeyer[uint64](s.HashSeed(), s.KeyGroups()))
	for want, declare := range map[string]func() error{
		"cannot be encoded": func() error { _, err := NewValueMap[uint64, chan int](s, "a"); return err },
		"secret is a mmapstate.secret, which has no exported field": func() error { _, err := NewListMap[uint64, secret](s, "a"); return err },
		".At[][] is a mmapstate.secret":                             func() error { _, err := NewValueMap[uint64, map[string]*held](s, "a"); return err },
		"no codec of":                                               func() error { _, err := NewListMap[uint64, string](s, "b", Encoded(CBOR[int]())); return err },
		"must be positive":                                          func() error { _, err := NewValueMap[uint64, string](s, "c", TTL{After: -1}); return err },
		"one of the constants":                                      func() error { _, err := s.Bytes("d", keyer.Shape(), "", TTL{After: 1, Clock: 2}); return err },
		"field: key: float64":                                       func() error { _, err := NewNestedMap[uint64, float64, int](s, "e"); return err },
		"extended already":                                          func() error { _, err := s.Lists("f", keyer.Shape().With(), 8, ""); return err },
		"does not fit in place":                                     func() error { _, err := s.Maps("g", keyer.Shape(), keyer.Shape(), 513, ""); return err },
		"value of 600 bytes":                                        func() error { _, err := s.Lists("h", keyer.Shape(), 600, ""); return err },
		"state \"i.items\" is de": func() error {
			if _, err := s.Bytes("i.items", keyer.Shape(), ""); err != nil {
				return err
			}
			_, err := s.Lists("i", keyer.Shape(), -1, "")
			return err
		},
	} {
		if err := declare(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestKindsDoNotPassForEachOther(t *testing.T) {
	s, c := newStoreFor(t), &chain{}
	must(NewListMap[uint64, int64](s, "x")).Append(1, 1)
	c.save(t, s)
	s = restored(t, c)
	if _, err := NewCellMap[uint64, listSpan](s, "x"); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("a list taken for a cell: %v", err)
	}
	if _, err := NewNestedMap[uint64, uint64, int64](s, "x"); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("a list taken for a map: %v", err)
	}
}

func TestSetThatFailsChangesNothing(t *testing.T) {
	s := newStoreFor(t)
	lists := must(NewListMap[uint64, any](s, "lists"))
	values := must(NewValueMap[uint64, any](s, "values"))
	if err := errors.Join(lists.Set(1, []any{"a", "b"}), values.Set(1, "a")); err != nil {
		t.Fatal(err)
	}
	if lists.Set(1, []any{"c", make(chan int)}) == nil || values.Set(1, make(chan int)) == nil {
		t.Error("a channel was encoded")
	}
	long := strings.Repeat("x", maxBlob+1)
	if lists.Append(1, long) == nil || values.Set(1, long) == nil {
		t.Error("more than 16 MiB were taken")
	}
	if v, _ := values.Get(1); v != "a" || !slices.Equal(slices.Collect(lists.All(1)), []any{"a", "b"}) {
		t.Errorf("value %v, list %v", v, slices.Collect(lists.All(1)))
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestCodecReadsOlderShapes(t *testing.T) {
	type was struct {
		N    int
		Gone string
	}
	type is struct {
		N   float64
		New []string
	}
	b := must(CBOR[was]().Append(nil, &was{N: 7, Gone: "x"}))
	var v is
	if err := CBOR[is]().Decode(b, &v); err != nil || v.N != 7 || v.New != nil {
		t.Errorf("%+v, %v", v, err)
	}
	large := make([]int, 1<<18) // over the library's own limit of array elements
	large[5] = 5
	b = must(CBOR[[]int]().Append(nil, &large))
	var back []int
	if err := CBOR[[]int]().Decode(b, &back); err != nil || !slices.Equal(back, large) {
		t.Errorf("%d numbers, %v", len(back), err)
	}
}

func TestBytesThatDoNotDecodeFailTheAccess(t *testing.T) {
	s := newStoreFor(t)
	values := must(NewValueMap[uint64, visit](s, "values"))
	id := uint64(1)
	if err := values.bytes.Put(values.keyer.Key(&id), []byte{0xff}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err, ok := Recovered(recover()); !ok || !strings.Contains(err.Error(), "decode mmapstate.visit") || s.Err() == nil {
			t.Errorf("recovered %v, %v", err, ok)
		}
	}()
	values.Get(1)
}

func TestIndexRangeAndPeek(t *testing.T) {
	s := newStoreFor(t)
	keyer := must(NewKeyer[uint64](s.HashSeed(), s.KeyGroups()))
	x := must(s.Index("x", keyer.Shape()))
	if _, _, ok := x.Peek(nil); ok {
		t.Error("an empty index has an earliest entry")
	}
	for i := range uint64(5000) {
		x.Insert(keyer.Key(&i), int64(i/2)-100)
	}
	at, k, ok := x.Peek(nil)
	if first, _ := x.Min(); !ok || at != first || x.Len() != 5000 || keyer.Decode(k.Bytes) > 1 {
		t.Errorf("peek = %d %v %v", at, k, ok)
	}
	for _, r := range [][2]int64{{-100, -99}, {0, 100}, {-5000, 5000}, {2399, 2400}, {7, 7}, {9, 3}, {5000, 6000}} {
		var got []int64
		for at := range x.Range(r[0], r[1]) {
			got = append(got, at)
		}
		var want []int64
		for at := max(r[0], -100); at < min(r[1], 2400); at++ {
			want = append(want, at, at)
		}
		if !slices.Equal(got, want) {
			t.Errorf("range %v: %d entries, want %d", r, len(got), len(want))
		}
	}
}

func TestSplitHashUndoesJoinHash(t *testing.T) {
	for h := range uint64(1000) {
		h, n := mix(h), mix(h+99)
		if got := splitHash(joinHash(h, n), n); got != h {
			t.Fatalf("%x after %x", got, h)
		}
	}
}

func TestNewStatesDoNotAllocate(t *testing.T) {
	s := newStoreFor(t)
	s.SetTime(1, 1)
	values := must(NewValueMap[string, [2]int64](s, "values", TTL{After: 10, Renew: OnReadAndWrite}))
	texts := must(NewValueMap[uint64, string](s, "texts"))
	cells := must(NewCellMap[uint64, int64](s, "cells", TTL{After: 10}))
	lists := must(NewListMap[uint64, int64](s, "lists"))
	nested := must(NewNestedMap[uint64, string, int64](s, "nested"))
	key, field := "a key that is longer than a reference", []byte("a field that is longer, too")
	bytesKey := []byte(key)
	values.Set(key, [2]int64{})
	texts.Set(1, key)
	nested.Put(1, string(field), 1)
	nested.Put(1, "other", 1)
	lists.Append(1, 1)
	now := int64(1)
	for name, f := range map[string]func(){
		"Set of a value":          func() { values.Set(key, [2]int64{1, 2}) },
		"Get of a value":          func() { values.Get(BytesKey(bytesKey)) },
		"Set of a string":         func() { texts.Set(1, key) },
		"Ref with a TTL":          func() { now++; s.SetTime(now, now); *cells.Ref(1)++ },
		"Get with a TTL":          func() { cells.Get(1) },
		"Append and DropFirst":    func() { lists.Append(1, 5); lists.DropFirst(1, 1) },
		"Len of a list":           func() { lists.Len(1) },
		"Put into a nested map":   func() { nested.Put(1, BytesKey(field), 5) },
		"Get from a nested map":   func() { nested.Get(1, BytesKey(field)) },
		"Delete from and back in": func() { nested.Delete(1, BytesKey(field)); nested.Put(1, BytesKey(field), 5) },
		"Expire":                  func() { s.Expire(16) },
	} {
		if got := testing.AllocsPerRun(1000, f); got != 0 {
			if name == "Set of a string" && got == 1 {
				continue // the value is on the heap while a codec sees it
			}
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// TestCutTellsTheEarliest: a checkpoint has the earliest time of an index per shard, as of the barrier.
func TestCutTellsTheEarliest(t *testing.T) {
	s := New(Options{KeyGroups: 8, HashSeed: 3})
	defer s.Close()
	x, err := s.Index("timers", KeyShape{Fixed: 8, Fingerprint: "u64"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[meta.ShardID]int64{}
	insert := func(n, at int64) meta.ShardID {
		b := store8(uint64(n))
		k := Key{Hash: hashKey(b, true, 3), Bytes: b}
		k.Group = groupOf(k.Hash, 8)
		x.Insert(k, at)
		return meta.MakeShardID(0, k.Group)
	}
	for n := range int64(40) {
		at := 1000 - 7*n*(n-31)
		id := insert(n, at)
		if was, ok := want[id]; !ok || at < was {
			want[id] = at
		}
	}
	cut := freeze(t, s)
	for n := range int64(40) {
		insert(n, -1e6) // later than the barrier
	}
	s.Gather(time.Hour)
	if err := newReader(cut).drain(); err != nil {
		t.Fatal(err)
	}
	got := map[meta.ShardID]int64{}
	for _, sh := range cut.Shards() {
		for _, st := range sh.States {
			got[sh.ID] = st.Earliest
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("the cut tells %v, want %v", got, want)
	}
}
