package mmapstate_test

import (
	"fmt"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// Values are used in place.
func ExampleCellMap() {
	store := mmapstate.New(mmapstate.Options{})
	defer store.Close()
	type counter struct{ N, Bytes int64 }
	counters, err := mmapstate.NewCellMap[string, counter](store, "counters")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, word := range []string{"tide", "page", "tide"} {
		c := counters.Ref(word)
		c.N++
		c.Bytes += int64(len(word))
	}
	tide, ok := counters.Get("tide")
	fmt.Println(tide, ok, counters.Len())
	// Output: {2 8} true 2
}

// An index gives keys back in order of time.
func ExampleIndex_Pop() {
	store := mmapstate.New(mmapstate.Options{})
	defer store.Close()
	keyer, err := mmapstate.NewKeyer[string](store.HashSeed(), store.KeyGroups())
	if err != nil {
		fmt.Println(err)
		return
	}
	timers, err := store.Index("timers", keyer.Shape())
	if err != nil {
		fmt.Println(err)
		return
	}
	for at, name := range []string{"one", "two", "three"} {
		timers.Insert(keyer.Key(&name), int64(10*(at+1)))
	}
	var buf []byte
	for {
		at, key, ok := timers.Pop(25, buf)
		if !ok {
			break
		}
		fmt.Println(at, keyer.Decode(key.Bytes))
		buf = key.Bytes
	}
	// Output:
	// 10 one
	// 20 two
}

// Byte strings are for values that a codec made.
func ExampleBytes() {
	store := mmapstate.New(mmapstate.Options{})
	defer store.Close()
	keyer, err := mmapstate.NewKeyer[uint64](store.HashSeed(), store.KeyGroups())
	if err != nil {
		fmt.Println(err)
		return
	}
	notes, err := store.Bytes("notes", keyer.Shape(), "text")
	if err != nil {
		fmt.Println(err)
		return
	}
	id := uint64(7)
	if err := notes.Put(keyer.Key(&id), []byte("in the page")); err != nil {
		fmt.Println(err)
		return
	}
	text, ok := notes.Get(keyer.Key(&id), nil)
	fmt.Printf("%s %v\n", text, ok)
	// Output: in the page true
}

// A frozen cut holds the state as it was; the store goes on meanwhile. Here the writer gives up at once.
func ExampleStore_Freeze() {
	store := mmapstate.New(mmapstate.Options{})
	defer store.Close()
	hits, err := mmapstate.NewCellMap[uint64, int64](store, "hits")
	if err != nil {
		fmt.Println(err)
		return
	}
	hits.Set(1, 1)
	cut, err := store.Freeze()
	if err != nil {
		fmt.Println(err)
		return
	}
	*hits.Ref(1)++ // the cut still has 1
	cut.Done(meta.Verdict{Err: meta.ErrAborted})
	done, err := store.Settle()
	fmt.Println(done, err)
	// Output: true checkpoint aborted
}
