package engine

import "testing"

// TestLend: the reader has both batches where reading takes its time, and one where it is quick; it never has none.
func TestLend(t *testing.T) {
	b := newBatches[int](func() int { return 1 })
	expect := func(when string, lent int) {
		t.Helper()
		if b.lend(); b.lent != lent || b.lent+len(b.kept) != 2 {
			t.Fatalf("%s: %d with the reader, %d kept; want %d with the reader, 2 in all", when, b.lent, len(b.kept), lent)
		}
	}
	expect("at first", 2)
	first := <-b.free
	b.keep(first)
	expect("slow", 2)

	b.quick = true
	b.keep(<-b.free)
	expect("quick, the other one is out", 1)
	b.keep(<-b.free)
	expect("quick", 1)
	same := <-b.free
	b.keep(same)
	expect("quick", 1)
	if again := <-b.free; again != same {
		t.Error("a quick reader gets the batch that is not in the cache")
	} else {
		b.keep(again)
	}

	b.quick = false
	expect("slow again", 2)
}
