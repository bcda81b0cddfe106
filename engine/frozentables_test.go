package engine_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// The types of the frozen tables. They must not change.
type (
	frozenKey  struct{ A, B int32 }
	frozenFlat struct {
		Yes    bool
		I8     int8
		I16    int16
		I32    int32
		I64    int64
		U8     uint8
		U16    uint16
		U32    uint32
		U64    uint64
		F32    float32
		F64    float64
		C64    complex64
		C128   complex128
		Array  [3]int16
		Inside struct {
			X, Y float32
			Z    [2]struct{ Deep uint8 }
		}
		_ [3]byte
	}
	frozenRow struct {
		Name  string
		Raw   []byte
		Tags  []string
		By    map[int]float32
		Ratio float64
		Big   *big.Int
		Deep  *frozenRow
		When  time.Time
		Other any
	}
	frozenWide [32]uint64
)

// reversed is a codec that nobody else knows.
type reversed struct{}

func (reversed) Name() string { return "reversed \"1\"" }
func (reversed) Append(b []byte, v *string) ([]byte, error) {
	text := []byte(*v)
	slices.Reverse(text)
	return append(b, text...), nil
}
func (reversed) Decode(b []byte, v *string) error {
	text := slices.Clone(b)
	slices.Reverse(text)
	*v = string(text)
	return nil
}

// frozenTables has a state of every kind.
type frozenTables struct {
	store   *mmapstate.Store
	flat    mmapstate.CellMap[frozenKey, frozenFlat]
	floats  mmapstate.CellMap[int16, [2]float64]
	small   mmapstate.CellMap[uint8, float32]
	names   mmapstate.ValueMap[string, string]
	raw     mmapstate.ValueMap[int64, []byte]
	rows    mmapstate.ValueMap[string, frozenRow]
	coded   mmapstate.ValueMap[bool, string]
	crowded mmapstate.CellMap[string, [62]uint64] // keys whose hashes agree in 16 bits: overflow pages
	deep    mmapstate.CellMap[uint64, [62]uint64] // and in 10 bits: pages of the directory
	gone    mmapstate.CellMap[uint64, uint64]     // all deleted: free pages
	event   mmapstate.CellMap[string, int64]
	machine mmapstate.ValueMap[uint16, string]
	list    mmapstate.ListMap[string, string]
	span    mmapstate.ListMap[uint32, frozenKey]
	renewed mmapstate.ListMap[uint32, int8]
	nest    mmapstate.NestedMap[string, int32, frozenKey]
	texts   mmapstate.NestedMap[string, string, string]
	fixed   mmapstate.NestedMap[uint16, frozenKey, []byte]
	windows *mmapstate.Cells
	wide    *mmapstate.Index
	ends    *mmapstate.Index
}

func newFrozenTables(s *mmapstate.Store, now time.Duration) *frozenTables {
	s.SetTime(int64(now), int64(now)+1)
	eventTTL := mmapstate.TTL{After: time.Hour}
	machineTTL := mmapstate.TTL{After: time.Hour, Clock: mmapstate.ProcessingTime}
	renewedTTL := mmapstate.TTL{After: time.Hour, Renew: mmapstate.OnReadAndWrite}
	return &frozenTables{
		store:   s,
		flat:    sure(mmapstate.NewCellMap[frozenKey, frozenFlat](s, "flat")),
		floats:  sure(mmapstate.NewCellMap[int16, [2]float64](s, "floats")),
		small:   sure(mmapstate.NewCellMap[uint8, float32](s, "small")),
		names:   sure(mmapstate.NewValueMap[string, string](s, "names")),
		raw:     sure(mmapstate.NewValueMap[int64, []byte](s, "raw")),
		rows:    sure(mmapstate.NewValueMap[string, frozenRow](s, "rows")),
		coded:   sure(mmapstate.NewValueMap[bool, string](s, "coded", mmapstate.Encoded(reversed{}))),
		crowded: sure(mmapstate.NewCellMap[string, [62]uint64](s, "crowded")),
		deep:    sure(mmapstate.NewCellMap[uint64, [62]uint64](s, "deep")),
		gone:    sure(mmapstate.NewCellMap[uint64, uint64](s, "gone")),
		event:   sure(mmapstate.NewCellMap[string, int64](s, "event", eventTTL)),
		machine: sure(mmapstate.NewValueMap[uint16, string](s, "machine", machineTTL)),
		list:    sure(mmapstate.NewListMap[string, string](s, "list")),
		span:    sure(mmapstate.NewListMap[uint32, frozenKey](s, "span", machineTTL)),
		renewed: sure(mmapstate.NewListMap[uint32, int8](s, "renewed", renewedTTL)),
		nest:    sure(mmapstate.NewNestedMap[string, int32, frozenKey](s, "nest", eventTTL)),
		texts:   sure(mmapstate.NewNestedMap[string, string, string](s, "texts")),
		fixed:   sure(mmapstate.NewNestedMap[uint16, frozenKey, []byte](s, "fixed")),
		windows: sure(s.Cells("windows", keyerOf[string](s).Shape().With(), 16, "le:[2]int64")),
		wide:    sure(s.Index("wide", keyerOf[frozenWide](s).Shape())),
		ends:    sure(s.Index("ends", keyerOf[string](s).Shape())),
	}
}

func keyerOf[K any](s *mmapstate.Store) *mmapstate.Keyer[K] {
	return sure(mmapstate.NewKeyer[K](s.HashSeed(), s.KeyGroups()))
}

func sure[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func surely(err error) {
	if err != nil {
		panic(err)
	}
}

// freezeTables makes a chain of whole pages and of lines, with entries that were changed and deleted.
func freezeTables(t *testing.T, dir string) {
	opt := mmapstate.Options{KeyGroups: 1, HashSeed: 0x5eed}
	first := newFrozenTables(mmapstate.New(opt), 1_700_000_000*time.Second)
	opt.Operator = 1
	second := mmapstate.New(opt)
	other := sure(mmapstate.NewCellMap[uint64, int64](second, "other"))
	save(t, dir, []*mmapstate.Store{first.store, second}, func(round int) {
		*other.Ref(uint64(round)) = -int64(round)
		first.change(round)
	}, 3)
}

func (f *frozenTables) change(round int) {
	f.store.SetTime(int64(1_700_000_000+60*round)*int64(time.Second), int64(1_700_000_000+60*round)*int64(time.Second)+int64(round))
	switch round {
	case 0:
		f.fillCells()
		f.fillValues()
		f.fillCrowds()
		f.fillLists()
		f.fillMaps()
		f.fillIndexes()
	case 1:
		f.flat.Ref(frozenKey{-1, 2}).I64++
		f.flat.Delete(frozenKey{0, 0})
		surely(f.names.Set("key 13 bytes.", "changed"))
		f.names.Delete("")
		surely(f.raw.Set(2025, make([]byte, 10)))
		surely(f.list.Append("a", "third"))
		f.list.DropFirst("a", 1)
		f.renewed.Len(2)
		f.texts.Delete("k", "one")
		f.nest.Delete("k", 1)
		for i := range uint64(700) {
			f.gone.Delete(i)
		}
		*f.event.Ref("later") = 1
	case 2:
		surely(f.texts.Put("k", "four", "4"))
		surely(f.raw.Set(7, []byte("seven")))
		for range 8 {
			f.wide.Pop(math.MaxInt64, nil)
		}
		*f.event.Ref("early") = 2
	}
}

func (f *frozenTables) fillCells() {
	for i := range int32(40) {
		v := f.flat.Ref(frozenKey{-i, 2 * i})
		*v = frozenFlat{Yes: i%2 == 0, I8: int8(-i), I16: int16(-i), I32: -i, I64: math.MinInt64 + int64(i), U8: uint8(i), U16: math.MaxUint16,
			U32: math.MaxUint32, U64: math.MaxUint64 - uint64(i), F32: float32(i) / 3, F64: float64(i) / 3, C64: complex(1, float32(i)), C128: complex(0.1, 1e300)}
		v.Array[1], v.Inside.Y, v.Inside.Z[1].Deep = int16(i), -0.5, 7
	}
	for i, v := range []float64{0, math.Copysign(0, -1), 1, -1.5, 0.1, 1e-6, 1e-7, 1.25e-9, 1e20, 1e21, 123456789012345680000, 5e-324, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
		*f.floats.Ref(int16(-i)) = [2]float64{v, -v / 3}
		*f.small.Ref(uint8(i)) = float32(v)
	}
	for i := range uint64(700) {
		*f.gone.Ref(i) = i
	}
}

func (f *frozenTables) fillValues() {
	for i, n := range []int{0, 1, 8, 12, 13, 31, 32, 40, 2024, 2025, 4080, 9000} {
		text := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 300)[:n]
		surely(f.names.Set(text, text))
		surely(f.raw.Set(int64(n), []byte(strings.Repeat("\xff\x00"+fmt.Sprint(i), 9000)[:n])))
	}
	surely(f.names.Set("key 13 bytes.", "value"))
	surely(f.names.Set("quote\" back\\ \b\f\n\r\t\x01\x7f é \u2028 \U0001f600 <&>", "not UTF-8: \xff\xc0"))
	row := frozenRow{Name: "row", Raw: []byte{0, 255}, Tags: []string{"a", "b"}, By: map[int]float32{-1: 0.1, 70000: 2, 1 << 40: 3},
		Ratio: 1.0 / 3, Big: new(big.Int).Lsh(big.NewInt(-3), 80), When: time.Unix(1, 5).UTC(), Other: []any{nil, true, 1.5, "x", int64(-500)}}
	row.Deep = &frozenRow{Big: new(big.Int).Lsh(big.NewInt(3), 80), Name: strings.Repeat("long ", 20)}
	surely(f.rows.Set("full", row))
	surely(f.rows.Set("empty", frozenRow{}))
	surely(f.coded.Set(true, "abc"))
	surely(f.coded.Set(false, ""))
	*f.event.Ref("early") = -1
	surely(f.machine.Set(1, "short"))
	surely(f.machine.Set(2, strings.Repeat("long", 10)))
}

// fillCrowds looks for keys whose hashes agree in low bits.
func (f *frozenTables) fillCrowds() {
	names, numbers := keyerOf[string](f.store), keyerOf[uint64](f.store)
	for i, found := 0, 0; found < 10; i++ {
		name := fmt.Sprint("crowd ", i)
		if k := names.Key(&name); k.Hash&0xffff == 0x1234 {
			f.crowded.Ref(name)[found] = uint64(i)
			found++
		}
	}
	for i, found := uint64(0), 0; found < 10; i++ {
		if k := numbers.Key(&i); k.Hash&0x3ff == 0x155 {
			f.deep.Ref(i)[found] = i
			found++
		}
	}
}

func (f *frozenTables) fillLists() {
	for _, e := range []string{"first", strings.Repeat("second ", 300), ""} {
		surely(f.list.Append("a", e))
	}
	surely(f.list.Append("a list under a long key", "only"))
	for i := range int32(5) {
		surely(f.span.Append(1, frozenKey{i, -i}))
		surely(f.renewed.Append(2, int8(-i)))
	}
}

func (f *frozenTables) fillMaps() {
	for i := range int32(4) {
		surely(f.nest.Put("k", i-1, frozenKey{i, i}))
		surely(f.fixed.Put(uint16(i%2), frozenKey{i, -i}, []byte(strings.Repeat("x", int(i)*7))))
	}
	for _, name := range []string{"", "one", "two", "\xff", "three with more bytes"} {
		surely(f.texts.Put("k", name, name))
		surely(f.texts.Put("another key, which is long", name, strings.Repeat(name, 3)))
	}
}

func (f *frozenTables) fillIndexes() {
	names, wides := keyerOf[string](f.store), keyerOf[frozenWide](f.store)
	var buf []byte
	for i := range int64(60) {
		f.wide.Insert(wides.Key(&frozenWide{0: uint64(i % 50), 31: 7}), i*37%101)
		name := fmt.Sprint("key ", i%7)
		if i%3 == 0 {
			name += " of more than twelve bytes"
		}
		f.ends.Insert(names.Key(&name), (i-30)*int64(time.Minute))
		*(*[2]int64)(f.windows.Ref(names.Key(&name).With(uint64(i-30), &buf))) = [2]int64{i, -i}
	}
}

// TestFrozenTables goes on from a frozen checkpoint with the types that it was made with.
func TestFrozenTables(t *testing.T) {
	dir := t.TempDir()
	copyDir(t, dir, frozenDir+"/tables")
	d, err := snapshotter.Open(dir, snapshotter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cp, err := d.Latest()
	if err != nil {
		t.Fatal(err)
	}
	s, err := mmapstate.Open(mmapstate.Options{}, cp)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := newFrozenTables(s, 1_700_000_200*time.Second)
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	f.flat.Ref(frozenKey{-1, 2}).I64++
	if v, ok := f.flat.Get(frozenKey{-1, 2}); !ok || v.I64 != math.MinInt64+3 {
		t.Errorf("flat has %+v, %v", v, ok)
	}
	if v, ok := f.coded.Get(true); v != "abc" || !ok {
		t.Errorf("coded has %q, %v", v, ok)
	}
	if v, ok := f.rows.Get("full"); v.Deep == nil || v.By[-1] != 0.1 || !ok {
		t.Errorf("rows has %+v, %v", v, ok)
	}
	if got := slices.Collect(f.list.All("a")); len(got) != 3 || got[2] != "third" {
		t.Errorf("list has %q", got)
	}
	if v, ok := f.texts.Get("k", "four"); v != "4" || !ok {
		t.Errorf("texts has %q, %v", v, ok)
	}
	for i := range uint64(3000) { // grows over what was freed
		*f.gone.Ref(i) = i
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	again := loadFrozen(t, dir)
	if got, want := len(exportAll(t, again)), len(exportAll(t, cp)); got <= want {
		t.Errorf("the checkpoint after it exports %d bytes, %d before", got, want)
	}
}

// freezeChain makes many small checkpoints, for whatever the snapshotter does to a chain that grows.
func freezeChain(t *testing.T, dir string) {
	s := mmapstate.New(mmapstate.Options{KeyGroups: 2, HashSeed: 9})
	counts := sure(mmapstate.NewCellMap[uint64, uint64](s, "counts"))
	save(t, dir, []*mmapstate.Store{s}, func(round int) {
		for i := range uint64(400) {
			if round == 0 || i%97 == uint64(round) {
				*counts.Ref(i)++
			}
		}
	}, 12)
}
