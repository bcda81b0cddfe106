package mmapstate

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

func filled(t *testing.T, opt Options, n uint64) (*Store, CellMap[uint64, int64]) {
	t.Helper()
	opt.HashSeed = 1
	s := New(opt)
	t.Cleanup(func() { s.Close() })
	m, err := NewCellMap[uint64, int64](s, "m")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		*m.Ref(i) = int64(i)
	}
	return s, m
}

// write is a writer goroutine's life: it reads the cut to its end and gives the verdict.
func write(cut meta.Cut, c *chain) {
	r := newReader(cut)
	for {
		ch, err := cut.Next(context.Background())
		if err == io.EOF {
			r.done = true
			cut.Done(verdict(c.commit(r)))
			return
		}
		if err == nil {
			err = r.keep(ch)
		}
		if err != nil {
			cut.Done(meta.Verdict{Err: err})
			return
		}
		cut.Release(ch)
	}
}

func freeze(t *testing.T, s *Store) meta.Cut {
	t.Helper()
	c, err := s.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCutWithWriterGoroutine(t *testing.T) {
	s, m := filled(t, Options{KeyGroups: 8, SavedLimit: 100 << 10}, 50_000)
	c := &chain{}
	for round := range int64(5) {
		cut := freeze(t, s)
		go write(cut, c)
		for i := range uint64(5000) { // writes run into the limit, and go on when the writer releases
			*m.Ref(i * 7) += 1000
			if i%64 == 0 {
				s.Gather(20 * time.Microsecond)
			}
		}
		if err := cut.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		back, err := Open(Options{}, c)
		if err != nil {
			t.Fatal(err)
		}
		old, err := NewCellMap[uint64, int64](back, "m")
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(50_000) {
			want := int64(i)
			if i%7 == 0 && i/7 < 5000 {
				want += 1000 * round
			}
			if got, ok := old.Get(i); !ok || got != want {
				t.Fatalf("round %d, key %d: %d %v, want %d", round, i, got, ok, want)
			}
		}
		if back.Base() != c.Base() || s.Base() != c.Base() {
			t.Errorf("base %v and %v, want %v", back.Base(), s.Base(), c.Base())
		}
		back.Close()
	}
	if s.Stats().Waited == 0 {
		t.Error("the owner never waited for room, so the limit was not tested")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s, m := filled(t, Options{}, 1000)
	cut := freeze(t, s)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("storage hangs"))
	if err := cut.Wait(ctx); !errors.Is(err, meta.ErrAborted) {
		t.Errorf("Wait = %v, want ErrAborted", err)
	}
	if _, err := cut.Next(context.Background()); !errors.Is(err, meta.ErrAborted) {
		t.Errorf("Next after the owner gave up = %v, want ErrAborted", err)
	}
	cut.Done(verdict(meta.Base{Job: 1, Checkpoint: 1})) // too late to be believed
	if err := cut.Wait(context.Background()); !errors.Is(err, meta.ErrAborted) || s.Base() != (meta.Base{}) {
		t.Errorf("late verdict: %v, base %v", err, s.Base())
	}
	c := &chain{}
	m.Set(5, 55)
	cut = freeze(t, s)
	go write(cut, c)
	if err := cut.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestLateCommitIsTheNextBase gives a cut up while its writer is committing it: the next cut builds on it all the same, or
// the writer's directory would refuse every later one.
func TestLateCommitIsTheNextBase(t *testing.T) {
	s, m := filled(t, Options{}, 1000)
	c := &chain{}
	cut := freeze(t, s)
	go write(cut, c)
	if err := cut.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Set(5, 55)
	cut = freeze(t, s)
	s.Gather(time.Hour)
	r := newReader(cut)
	for {
		ch, err := cut.Next(t.Context())
		if err == io.EOF {
			r.done = true
			break
		}
		if err == nil {
			err = r.keep(ch)
		}
		if err != nil {
			t.Fatal(err)
		}
		cut.Release(ch)
	}
	late := c.commit(r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cut.Wait(ctx); !errors.Is(err, meta.ErrAborted) {
		t.Fatalf("Wait = %v, want ErrAborted", err)
	}
	cut.Done(verdict(late))
	m.Set(6, 66)
	if cut = freeze(t, s); cut.Base() != late {
		t.Errorf("the next cut builds on %v, want %v", cut.Base(), late)
	}
	go write(cut, c)
	if err := cut.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWholeWishOutlivesAnAbort(t *testing.T) {
	s, m := filled(t, Options{KeyGroups: 2}, 3000)
	c := &chain{}
	commit := func(whole bool) meta.Cut {
		cut := freeze(t, s)
		r := newReader(cut)
		for !r.done {
			s.Gather(time.Hour)
			if err := r.drain(); err != nil {
				t.Fatal(err)
			}
		}
		cut.Done(meta.Verdict{Base: c.commit(r), Whole: whole})
		if _, err := s.Settle(); err != nil {
			t.Fatal(err)
		}
		return cut
	}
	commit(true)
	m.Set(1, 1)
	cut := freeze(t, s)
	cut.Done(meta.Verdict{Err: meta.ErrAborted})
	if cut = commit(false); cut.Base() != (meta.Base{}) || len(c.files) != 1 {
		t.Errorf("after an aborted whole cut the next one has base %v", cut.Base())
	}
	m.Set(2, 2)
	if cut = commit(false); cut.Base() == (meta.Base{}) || len(c.files) != 2 || len(c.files[1]) != 1 {
		t.Errorf("then a difference: base %v, %d pages", cut.Base(), len(c.files[1]))
	}
}

func TestFailurePoisonsTheStore(t *testing.T) {
	s, m := filled(t, Options{KeyGroups: 2}, 3000)
	c := &chain{}
	cut := freeze(t, s)
	go write(cut, c)
	if err := cut.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.files = nil // nothing can be loaded any more
	s.SetLoader(c)
	if s.Evict(1<<40) == 0 {
		t.Fatal("nothing was evicted")
	}
	cut = freeze(t, s)
	for range 2 {
		err := func() (err error) {
			defer func() { err, _ = Recovered(recover()) }()
			m.Ref(1)
			return nil
		}()
		if !errors.Is(err, meta.ErrDamaged) {
			t.Fatalf("Ref of what cannot be loaded: %v", err)
		}
	}
	if _, err := cut.Next(context.Background()); !errors.Is(err, meta.ErrAborted) {
		t.Errorf("Next of a poisoned store = %v", err)
	}
	if _, err := s.Freeze(); !errors.Is(err, meta.ErrDamaged) {
		t.Errorf("Freeze of a poisoned store = %v", err)
	}
	s.Close()
	if _, err := s.Freeze(); err != ErrClosed {
		t.Errorf("Freeze of a closed store = %v", err)
	}
}

func TestOpenRefusesWhatDiffers(t *testing.T) {
	c := &chain{seed: 1, groups: 8, states: []meta.State{{Kind: meta.KindCell, Name: "m", Key: "string", Type: "le:int64"}}}
	if _, err := Open(Options{KeyGroups: 16}, c); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("other key groups: %v", err)
	}
	s, err := Open(Options{}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := NewCellMap[uint64, int64](s, "m"); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("other key type: %v", err)
	}
	if _, err := NewCellMap[string, int32](s, "m"); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("other value type: %v", err)
	}
	if _, err := NewCellMap[string, int64](s, "m"); err != nil {
		t.Errorf("same types: %v", err)
	}
	if _, err := NewCellMap[string, int64](s, "m"); err == nil {
		t.Error("a state was declared twice")
	}
}

// TestChunksServeTheNextCut pins that a first touch after a freeze makes no chunk, and that what a writer holds on to is
// not taken from it.
func TestChunksServeTheNextCut(t *testing.T) {
	s, m := filled(t, Options{KeyGroups: 1}, 10)
	first := func(end meta.Verdict, release bool) *meta.Chunk {
		*m.Ref(1)++
		cut := freeze(t, s)
		*m.Ref(1)++ // saves the page
		s.Gather(time.Second)
		ch, err := cut.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if release {
			cut.Release(ch)
		}
		if _, err := cut.Next(context.Background()); err != io.EOF {
			t.Fatalf("second chunk: %v", err)
		}
		cut.Done(end)
		if done, err := s.Settle(); !done || err != end.Err {
			t.Fatalf("settled %v: %v", done, err)
		}
		return ch
	}
	committed := meta.Verdict{Base: meta.Base{Job: 1, Checkpoint: 1}}
	one := first(committed, true)
	if two := first(committed, false); two != one {
		t.Error("the second cut made a chunk although the first had left one")
	}
	if three := first(meta.Verdict{Err: meta.ErrAborted}, true); three == one {
		t.Error("the third cut took a chunk that the writer had not released")
	}
}

// TestFreezeAllocatesNothing pins that a cut is made ready before the barrier. The first freeze of a store is not meant,
// and other goroutines may allocate meanwhile: one freeze of many without is enough.
func TestFreezeAllocatesNothing(t *testing.T) {
	s, m := filled(t, Options{}, 1000)
	fewest := ^uint64(0)
	for range 20 {
		*m.Ref(1)++
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		cut, err := s.Freeze()
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		fewest = min(fewest, after.Mallocs-before.Mallocs)
		cut.Done(meta.Verdict{Err: meta.ErrAborted})
		if done, _ := s.Settle(); !done {
			t.Fatal("an aborted cut is still open")
		}
	}
	if fewest != 0 {
		t.Errorf("a freeze allocates %d times", fewest)
	}
}
