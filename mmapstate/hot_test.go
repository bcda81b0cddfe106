package mmapstate

import "testing"

func TestHotPathDoesNotAllocate(t *testing.T) {
	s := New(Options{HashSeed: 1})
	defer s.Close()
	numbers, err := NewCellMap[uint64, [4]int64](s, "numbers")
	if err != nil {
		t.Fatal(err)
	}
	names, err := NewCellMap[string, int64](s, "names")
	if err != nil {
		t.Fatal(err)
	}
	values, err := s.Bytes("values", names.keyer.Shape(), "raw")
	if err != nil {
		t.Fatal(err)
	}
	long := "a name that does not fit into its slot"
	k := names.keyer.Key(&long)
	if err := values.Put(k, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	buf, scratch := make([]byte, 0, 256), make([]byte, 0, 256)
	index, err := s.Index("index", names.keyer.Shape().With())
	if err != nil {
		t.Fatal(err)
	}
	index.Insert(k.With(1, &scratch), 5) // keeps the pages
	names.Ref(long)
	for i := range uint64(1000) {
		numbers.Ref(i)
	}
	n := uint64(0)
	views, found := make([]Key, 70), make([]Found, 70)
	for i := range views {
		views[i] = names.keyer.Key(&long)
	}
	for name, f := range map[string]func(){
		"Ref of a number":  func() { n++; numbers.Ref(n % 1000)[1]++ },
		"Get of a number":  func() { n++; numbers.Get(n) },
		"Ref of a string":  func() { *names.Ref(long)++ },
		"Get of a string":  func() { names.Get(long) },
		"Get of bytes":     func() { buf, _ = values.Get(names.keyer.Key(&long), buf[:0]) },
		"Put of bytes":     func() { values.Put(names.keyer.Key(&long), buf) },
		"insert and pop":   func() { index.Insert(k.With(2, &scratch), 1); index.Pop(1, buf) },
		"insert, delete":   func() { index.Insert(k.With(2, &scratch), 7); index.Delete(k.With(2, &scratch), 7) },
		"Look":             func() { names.cells.Look(views, found); *(*int64)(names.cells.RefAt(&found[0], &views[0]))++ },
		"gather, settled":  func() { s.Gather(0) },
		"delete and again": func() { numbers.Delete(7); numbers.Ref(7) },
	} {
		if got := testing.AllocsPerRun(1000, f); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// TestLookBelievesNothing: a look ahead follows references that no lookup has checked.
func TestLookBelievesNothing(t *testing.T) {
	s := New(Options{HashSeed: 1, KeyGroups: 1})
	defer s.Close()
	names, err := NewCellMap[string, [100]byte](s, "names")
	if err != nil {
		t.Fatal(err)
	}
	long := "a name that does not fit into its slot"
	names.Ref(long)
	k := names.keyer.Key(&long)
	sh := s.shard(k.Group)
	pg, _, off := names.cells.table.find(sh, k)
	if at, slab := sh.lookRef(ptrAt(pg, off+offVarRef)); at == nil || string(bytesOf(ptrAt(at, slab), len(long))) != long {
		t.Error("a look does not find the bytes of a key")
	}
	for _, damage := range []struct {
		at uint32
		v  uint32
	}{{16, 0}, {16, maxSlab + 1}, {16, ^uint32(0)}, {24, sh.pages}, {24, ^uint32(0)}, {28, slabSlots(0)}, {28, ^uint32(0)}} {
		was := load32(pg, off+damage.at)
		store32(pg, off+damage.at, damage.v)
		if at, _ := sh.lookRef(ptrAt(pg, off+offVarRef)); at != nil {
			t.Errorf("a look believes %d at %d", damage.v, damage.at)
		}
		names.cells.Look([]Key{k}, make([]Found, 1))
		store32(pg, off+damage.at, was)
	}
	sh.allResident = false
	if at, _ := sh.lookRef(ptrAt(pg, off+offVarRef)); at != nil {
		t.Error("a look looks into a page that may be absent")
	}
	sh.allResident = true
}
