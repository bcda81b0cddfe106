package mmapstate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// Value types that change between a checkpoint and its restore.

type orderV1 struct {
	N    int32
	Rate float32
	Flag bool
}

type orderV2 struct {
	Count int64   `pagetide:"was=N"`
	Rate  float64 // wider
	Flag  bool    // seven bytes of padding follow
	Last  [5]int64
}

func orderKey(i uint64) string {
	return fmt.Sprint("order ", i, strings.Repeat("-", int(i%40))) // short ones, and ones in slabs
}

func commitTo(t *testing.T, s *Store, c *chain) {
	t.Helper()
	cut := freeze(t, s)
	go write(cut, c)
	if err := cut.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.SetLoader(c)
}

func TestEvolvedTypesAreRewritten(t *testing.T) {
	for name, opt := range map[string]Options{
		"eager": {}, "lazy": {Lazy: true}, "preload": {Lazy: true, Preload: true}, "limit": {MemoryLimit: 1 << 20, Preload: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := 30_000
			if raceBuild {
				n = 10_000
			}
			c := &chain{}
			s := New(Options{KeyGroups: 3, HashSeed: 5})
			defer func() { s.Close() }()
			text := mustMap[string, orderV1](t, s, "text")
			fixed := mustMap[uint64, orderV1](t, s, "fixed", TTL{After: time.Hour})
			plain := mustMap[uint64, int16](t, s, "plain")
			s.SetTime(1000, 0)
			for i := range uint64(n) {
				v := orderV1{N: int32(i) - 5000, Rate: float32(i) / 2, Flag: i%3 == 0}
				text.Set(orderKey(i), v)
				fixed.Set(i, v)
				plain.Set(i, int16(i))
			}
			commitTo(t, s, c)
			s.Close()
			for restart := range 3 { // the second one has the new types in the checkpoint, the third a difference to it
				var err error
				if s, err = Open(opt, c.frozen()); err != nil {
					t.Fatal(err)
				}
				s.SetTime(2000, 0)
				text := mustMap[string, orderV2](t, s, "text")
				fixed := mustMap[uint64, orderV2](t, s, "fixed", TTL{After: time.Hour})
				plain := mustMap[uint64, int64](t, s, "plain")
				if got := len(s.Rewrites()); got != 3*max(0, 1-restart) {
					t.Fatalf("restart %d: %d states were rewritten: %+v", restart, got, s.Rewrites())
				}
				for i := range uint64(n) {
					want := orderV2{Count: int64(int32(i) - 5000), Rate: float64(float32(i) / 2), Flag: i%3 == 0}
					want.Last[4] = int64(restart)
					for which, got := range map[string]*orderV2{"text": text.Ref(orderKey(i)), "fixed": fixed.Ref(i)} {
						image := bytesOf(unsafe.Pointer(got), int(unsafe.Sizeof(*got)))
						if *got != want || string(image[17:24]) != "\x00\x00\x00\x00\x00\x00\x00" {
							t.Fatalf("restart %d, %s %d: %+v % x, want %+v", restart, which, i, *got, image, want)
						}
						got.Last[4]++
					}
					if v, ok := plain.Get(i); !ok || v != int64(int16(i)) {
						t.Fatalf("restart %d, plain %d: %d %v", restart, i, v, ok)
					}
				}
				if text.Len() != n || fixed.Len() != n {
					t.Errorf("%d and %d entries, want %d", text.Len(), fixed.Len(), n)
				}
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
				commitTo(t, s, c)
				s.Close()
			}
		})
	}
}

// The life of an entry goes on when its value's type changes.
func TestEvolutionKeepsTheTTL(t *testing.T) {
	c := &chain{}
	s := New(Options{KeyGroups: 1, HashSeed: 5})
	s.SetTime(1000, 0)
	mustMap[uint64, int32](t, s, "m", TTL{After: 100}).Set(1, -7)
	commitTo(t, s, c)
	s.Close()
	for now, alive := range map[int64]bool{1099: true, 1100: false} {
		s, err := Open(Options{}, c)
		if err != nil {
			t.Fatal(err)
		}
		s.SetTime(now, 0)
		if v, ok := mustMap[uint64, int64](t, s, "m", TTL{After: 100}).Get(1); ok != alive || alive && v != -7 {
			t.Errorf("at %d: %d %v", now, v, ok)
		}
		s.Close()
	}
}

func TestEvolutionRefusedSaysBoth(t *testing.T) {
	c := &chain{}
	s := New(Options{KeyGroups: 1, HashSeed: 5})
	mustMap[uint64, orderV1](t, s, "orders").Set(1, orderV1{})
	commitTo(t, s, c)
	s.Close()
	if s, _ = Open(Options{}, c); s == nil {
		t.Fatal("not opened")
	}
	defer s.Close()
	_, err := NewCellMap[uint64, struct {
		N    int32
		Flag bool
	}](s, "orders")
	want := `state "orders": value.Rate has become Flag: new fields go to the end, and a new name needs the tag ` + "`pagetide:\"was=Rate\"`" +
		`; checkpoint has struct{N int32; Rate float32; Flag bool}, program has struct{N int32; Flag bool}: incompatible`
	if !errors.Is(err, meta.ErrIncompatible) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = NewCellMap[int64, orderV1](s, "orders")
	want = `state "orders": checkpoint has cell of key uint64 and value struct{N int32; Rate float32; Flag bool}, ` +
		`program has cell of key int64 and value struct{N int32; Rate float32; Flag bool}: incompatible`
	if !errors.Is(err, meta.ErrIncompatible) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if m := mustMap[uint64, orderV1](t, s, "orders"); m.Len() != 1 {
		t.Error("what was refused has changed the state")
	}
}

func mustMap[K comparable, V any](t *testing.T, s *Store, name string, o ...StateOption) CellMap[K, V] {
	t.Helper()
	m, err := NewCellMap[K, V](s, name, o...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
