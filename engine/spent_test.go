package engine

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"
)

func TestRefers(t *testing.T) {
	type flat struct {
		A int8
		B [3]float64
		C uintptr
		D struct{ E complex128 }
	}
	for _, v := range []any{0, 1.5, true, flat{}, [0]string{}, struct{}{}} {
		if refers(reflect.TypeOf(v)) {
			t.Errorf("%T is said to refer to something", v)
		}
	}
	for _, v := range []any{"", new(int), []int{}, map[int]int{}, func() {}, make(chan int), unsafe.Pointer(nil),
		[1]string{}, struct{ A any }{}, struct{ A [2]struct{ B error } }{}} {
		if !refers(reflect.TypeOf(v)) {
			t.Errorf("%T is said to refer to nothing", v)
		}
	}
}

// TestSiftKeepsNothingElse has records that are left out not stay where those lie that are kept.
func TestSiftKeepsNothingElse(t *testing.T) {
	var got []string
	o := &outlet[string]{together: batchSize, used: newSpent[string]()}
	o.listeners = append(o.listeners, func(s stretch[string]) { got = append(got, s.recs...) })
	h := &recordHand[string]{}
	even := func(s string) bool { return len(s)%2 == 0 }
	for range 300 {
		o.sift(stretch[string]{[]string{"a", "bb", "", "ccc"}, []Time{1, 2, 3, 4}}, h, even)
		for _, s := range o.open.recs[len(o.open.recs):cap(o.open.recs)] {
			if s != "" {
				t.Fatalf("%q is still there", s)
			}
		}
	}
	o.flush()
	if want := slices.Repeat([]string{"bb", ""}, 300); !slices.Equal(got, want) {
		t.Fatalf("%d records passed, want %d", len(got), len(want))
	}
	if h.busy() {
		t.Error("the last record is still in hand")
	}
}

func TestUndoneRecordsAreZeroAgain(t *testing.T) {
	b := NewBatch[string]()
	*b.Next() = "malformed"
	b.Undo()
	if s := *b.Next(); s != "" {
		t.Errorf("Next gives %q after Undo", s)
	}
	*b.Next() = "last"
	b.Reset()
	for i := range 2 {
		if s := *b.Next(); s != "" {
			t.Errorf("record %d is %q after Reset", i, s)
		}
	}
}
