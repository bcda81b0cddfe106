package mmapstate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// A whole life of stand-alone state: tables are filled, a checkpoint is taken, and a new store goes on from it.
func Example() {
	ctx := context.Background()
	opt := snapshotter.Options{FS: vfs.NewMem(), Retained: 2} // a real program leaves FS out
	dir, err := snapshotter.Open("/counts", opt)
	if err != nil {
		fmt.Println(err)
		return
	}
	store := mmapstate.New(mmapstate.Options{})
	counts, err := mmapstate.NewCellMap[string, int64](store, "counts")
	if err != nil {
		fmt.Println(err)
		return
	}
	pages, err := mmapstate.NewListMap[string, string](store, "pages")
	if err != nil {
		fmt.Println(err)
		return
	}
	*counts.Ref("ann")++
	if err := pages.Append("ann", "/index"); err != nil {
		fmt.Println(err)
		return
	}
	if err := dir.Save(ctx, store, map[string]string{"offset": "1"}); err != nil { // freeze, gather, write
		fmt.Println(err)
		return
	}
	*counts.Ref("ann")++ // too late for the checkpoint
	fmt.Println(errors.Join(store.Close(), dir.Close()))

	if dir, err = snapshotter.Open("/counts", opt); err != nil {
		fmt.Println(err)
		return
	}
	defer dir.Close()
	last, err := dir.Latest() // meta.ErrNotFound if there is none
	if err != nil {
		fmt.Println(err)
		return
	}
	if store, err = mmapstate.Open(mmapstate.Options{}, last); err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if counts, err = mmapstate.NewCellMap[string, int64](store, "counts"); err != nil {
		fmt.Println(err)
		return
	}
	if pages, err = mmapstate.NewListMap[string, string](store, "pages"); err != nil {
		fmt.Println(err)
		return
	}
	n, _ := counts.Get("ann")
	fmt.Println(n, slices.Collect(pages.All("ann")), "after", last.Notes["offset"])
	// Output:
	// <nil>
	// 1 [/index] after 1
}

func newStore() (store *mmapstate.Store, done func()) {
	store = mmapstate.New(mmapstate.Options{})
	return store, func() { store.Close() }
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Values of any type: this one goes through CBOR.
func ExampleValueMap() {
	store, done := newStore()
	defer done()
	type profile struct {
		Name string
		Tags []string
	}
	profiles, err := mmapstate.NewValueMap[uint64, profile](store, "profiles")
	check(err)
	check(profiles.Set(7, profile{"Ann", []string{"new"}}))
	p, ok := profiles.Get(7)
	fmt.Println(p.Name, p.Tags, ok, profiles.Delete(7), profiles.Len())
	// Output: Ann [new] true true 0
}

// A list grows at the end and shrinks from the front.
func ExampleListMap() {
	store, done := newStore()
	defer done()
	recent, err := mmapstate.NewListMap[string, int64](store, "recent")
	check(err)
	for n := range int64(5) {
		check(recent.Append("ann", n))
		recent.DropFirst("ann", recent.Len("ann")-3) // keep three
	}
	fmt.Println(slices.Collect(recent.All("ann")))
	check(recent.Set("ann", []int64{9, 8}))
	fmt.Println(recent.Len("ann"), slices.Collect(recent.Keys()))
	recent.Clear("ann")
	fmt.Println(recent.Len("ann"))
	// Output:
	// [2 3 4]
	// 2 [ann]
	// 0
}

// The entries of one key are walked without looking at those of others, and can be deleted on the way.
func ExampleNestedMap() {
	store, done := newStore()
	defer done()
	carts, err := mmapstate.NewNestedMap[string, string, int64](store, "carts")
	check(err)
	check(carts.Put("ann", "tea", 2))
	check(carts.Put("ann", "cup", 1))
	check(carts.Put("ann", "jam", 0))
	check(carts.Put("bob", "tea", 9))
	for item, n := range carts.All("ann") {
		if n == 0 {
			carts.Delete("ann", item)
		}
	}
	tea, _ := carts.Get("ann", "tea")
	fmt.Println(tea, carts.Len("ann"), slices.Sorted(maps.Keys(maps.Collect(carts.All("ann")))))
	// Output: 2 2 [cup tea]
}

// Values live for a minute after they were written. The owner tells the time, and has a few entries looked at between
// batches.
func ExampleTTL() {
	store, done := newStore()
	defer done()
	seen, err := mmapstate.NewCellMap[string, int64](store, "seen", mmapstate.TTL{After: time.Minute, Clock: mmapstate.ProcessingTime})
	check(err)
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	store.SetTime(0, now.UnixNano())
	*seen.Ref("ann")++
	store.SetTime(0, now.Add(59*time.Second).UnixNano())
	_, ok := seen.Get("ann")
	fmt.Println(ok)
	store.SetTime(0, now.Add(time.Minute).UnixNano())
	_, ok = seen.Get("ann")
	fmt.Println(ok, seen.Len(), store.Expire(32), seen.Len())
	// Output:
	// true
	// false 1 1 0
}

// bigEndian is a codec for one type; one for protocol buffers looks the same, with proto.MarshalAppend and
// proto.Unmarshal.
type bigEndian struct{}

type trade struct {
	Symbol string
	Cents  uint64
}

func (bigEndian) Name() string { return "trade v1" }

func (bigEndian) Append(buf []byte, t *trade) ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(buf, t.Cents), t.Symbol...), nil
}

func (bigEndian) Decode(b []byte, t *trade) error {
	if len(b) < 8 {
		return fmt.Errorf("%d bytes are no trade", len(b))
	}
	t.Cents, t.Symbol = binary.BigEndian.Uint64(b), string(b[8:])
	return nil
}

// Any encoding will do.
func ExampleEncoded() {
	store, done := newStore()
	defer done()
	trades, err := mmapstate.NewListMap[uint64, trade](store, "trades", mmapstate.Encoded(bigEndian{}))
	check(err)
	check(trades.Append(1, trade{"TIDE", 1250}))
	for t := range trades.All(1) {
		fmt.Println(t.Symbol, t.Cents)
	}
	// Output: TIDE 1250
}

// CBOR reads what an older program wrote: fields may come and go.
func ExampleCBOR() {
	type was struct{ N int }
	type is struct {
		N   float64
		New string
	}
	b, err := mmapstate.CBOR[was]().Append(nil, &was{7})
	check(err)
	var v is
	check(mmapstate.CBOR[is]().Decode(b, &v))
	fmt.Printf("%+v\n", v)
	// Output: {N:7 New:}
}

// Keys that come as bytes need no copy.
func ExampleBytesKey() {
	store, done := newStore()
	defer done()
	words, err := mmapstate.NewCellMap[string, int64](store, "words")
	check(err)
	line := []byte("tide page tide")
	for _, w := range [][]byte{line[:4], line[5:9], line[10:]} {
		*words.Ref(mmapstate.BytesKey(w))++
	}
	fmt.Println(words.Get("tide"))
	// Output: 2 true
}

// The untyped states take keys from a Keyer and values as bytes, which a Form makes and reads.
func ExampleLists() {
	store, done := newStore()
	defer done()
	keyer, err := mmapstate.NewKeyer[string](store.HashSeed(), store.KeyGroups())
	check(err)
	form, err := mmapstate.NewForm[float64]()
	check(err)
	lists, err := store.Lists("temperatures", keyer.Shape(), form.Size(), form.Fingerprint())
	check(err)
	city, degrees := "Oslo", -3.5
	check(lists.Append(keyer.Key(&city), form.View(&degrees)))
	for b := range lists.All(keyer.Key(&city)) {
		fmt.Println(form.Value(b))
	}
	// Output: -3.5 <nil>
}

// Fields are bytes, too.
func ExampleMaps() {
	store, done := newStore()
	defer done()
	key, err := mmapstate.NewKeyer[uint64](store.HashSeed(), store.KeyGroups())
	check(err)
	field, err := mmapstate.NewKeyer[string](store.HashSeed(), store.KeyGroups())
	check(err)
	headers, err := store.Maps("headers", key.Shape(), field.Shape(), -1, "text")
	check(err)
	id := uint64(7)
	check(headers.Put(key.Key(&id), []byte("Accept"), []byte("*/*")))
	v, ok := headers.Get(key.Key(&id), []byte("Accept"), nil)
	fmt.Printf("%s %v\n", v, ok)
	// Output: */* true
}

// A stretch of time, in order, without taking anything out.
func ExampleIndex_Range() {
	store, done := newStore()
	defer done()
	keyer, err := mmapstate.NewKeyer[string](store.HashSeed(), store.KeyGroups())
	check(err)
	index, err := store.Index("by time", keyer.Shape())
	check(err)
	for at, name := range []string{"a", "b", "c", "d"} {
		index.Insert(keyer.Key(&name), int64(at))
	}
	for at, k := range index.Range(1, 3) {
		fmt.Println(at, keyer.Decode(k.Bytes))
	}
	at, k, ok := index.Peek(nil)
	fmt.Println(at, keyer.Decode(k.Bytes), ok)
	// Output:
	// 1 b
	// 2 c
	// 0 a true
}
