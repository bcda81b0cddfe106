package enginetest_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

type reading struct {
	Key string
	N   int64
	At  time.Time
}

func (r reading) key() string     { return r.Key }
func (r reading) time() time.Time { return r.At }

// readings are records in two splits, and what hourly sums of them are.
func readings(n int) (in *enginetest.Feed[reading], want []string) {
	in = enginetest.NewFeed[reading](2)
	sums := map[string]int64{}
	for i := range n {
		r := reading{fmt.Sprint("k", i%7), int64(i), noon.Add(time.Duration(i) * time.Minute)}
		in.Add(i%2, r)
		sums[r.At.Format("15:01-02 ")+r.Key] += r.N
	}
	in.End()
	for k, sum := range sums {
		want = append(want, fmt.Sprint(k, " ", sum))
	}
	slices.Sort(want)
	return in, want
}

type sum struct{}

func (sum) Add(acc *int64, r reading)    { *acc += r.N }
func (sum) Merge(into *int64, acc int64) { *into += acc }
func (sum) Result(key string, w engine.Span, acc int64) string {
	return fmt.Sprint(w.Start.UTC().Format("15:01-02 "), key, " ", acc)
}

func hourly(job *engine.Job, in engine.Source[reading], out engine.Sink[string]) {
	all := engine.From(job, "in", in, engine.EventTime(reading.time, engine.OutOfOrder(0)))
	hours := engine.Window(engine.KeyBy(all, reading.key), engine.Tumbling(time.Hour))
	engine.To(engine.Aggregate(hours, "sum", sum{}), "out", out)
}

func TestRunCommitsEachRowOnce(t *testing.T) {
	kills := 0
	for seed := range uint64(20) {
		in, want := readings(600)
		var out enginetest.Sink[string]
		kills += enginetest.Run(t, func(job *engine.Job) { hourly(job, in, &out) }, enginetest.Seed(seed), enginetest.Kills(4)).Kills
		got := out.Rows()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(want))
		}
	}
	t.Log(kills, "kills")
	if kills < 40 {
		t.Errorf("%d kills in 20 runs of at most 4: that proves little", kills)
	}
}

// What a job has committed after the place that it is put back to counts no longer, and comes again.
func TestRunPutsAJobBack(t *testing.T) {
	rewinds := 0
	for seed := range uint64(20) {
		in, want := readings(600)
		var out enginetest.Sink[string]
		rewinds += enginetest.Run(t, func(job *engine.Job) { hourly(job, in, &out) }, enginetest.Seed(seed), enginetest.Rewinds(3)).Rewinds
		got := out.Rows()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(want))
		}
	}
	t.Log(rewinds, "rewinds")
	if rewinds < 5 {
		t.Errorf("%d rewinds in 20 runs of at most 3: that proves little", rewinds)
	}
}

// A job that is drained has read some records of each split, in order, each once.
func TestRunDrains(t *testing.T) {
	drains, cuts := 0, 0
	for seed := range uint64(20) {
		in, _ := readings(600)
		var seen enginetest.Sink[reading]
		graph := func(job *engine.Job) { engine.To(engine.From(job, "in", in), "seen", &seen) }
		drains += enginetest.Run(t, graph, enginetest.Seed(seed), enginetest.Drains(2)).Drains
		all := slices.SortedFunc(slices.Values(seen.Rows()), func(a, b reading) int { return cmp.Or(cmp.Compare(a.N%2, b.N%2), cmp.Compare(a.N, b.N)) })
		for i, r := range all {
			if first := i == 0 || all[i-1].N%2 != r.N%2; !first && r.N != all[i-1].N+2 || first && r.N > 1 {
				t.Fatalf("seed %d: record %d is out of place", seed, r.N)
			}
		}
		if len(all) < 600 {
			cuts++
		}
	}
	t.Log(drains, "drains,", cuts, "before the end")
	if cuts < 2 || cuts > drains {
		t.Errorf("%d of 20 jobs ended before their input, by %d drains", cuts, drains)
	}
}

// What a sink without transactions gets is written again after a kill: the kills are real.
func TestRunShowsWhatASinkWithoutTransactionsGets(t *testing.T) {
	for seed := range uint64(20) {
		in, want := readings(600)
		var got rows[string]
		kills := enginetest.Run(t, func(job *engine.Job) { hourly(job, in, engine.SinkFunc(got.write)) }, enginetest.Seed(seed), enginetest.Kills(4)).Kills
		if len(got.list) > len(want) {
			return
		}
		t.Log("seed", seed, "has", kills, "kills and no row twice")
	}
	t.Error("no row was written twice")
}

func TestRunIsItsSeed(t *testing.T) {
	run := func(seed uint64) enginetest.Report {
		in, _ := readings(200)
		var out enginetest.Sink[string]
		return enginetest.Run(t, func(job *engine.Job) { hourly(job, in, &out) },
			enginetest.Seed(seed), enginetest.Kills(2), enginetest.Faults(3), enginetest.Requests(3), enginetest.Rewinds(2), enginetest.Drains(1))
	}
	hashes := map[uint64]bool{}
	for seed := range uint64(10) {
		a, b := run(seed), run(seed)
		if a.Hash != b.Hash || a.Trace != b.Trace {
			t.Errorf("seed %d: traces %016x and %016x", seed, a.Hash, b.Hash)
		}
		hashes[a.Hash] = true
	}
	if len(hashes) != 10 {
		t.Errorf("%d traces of 10 seeds", len(hashes))
	}
}

func TestSinkGivesUpWhatNoCheckpointNames(t *testing.T) {
	var s enginetest.Sink[int]
	w, _ := s.Open(t.Context(), engine.Task{})
	prepare := func(n int) engine.Txn {
		w.Write(t.Context(), []int{n})
		txn, _ := w.Prepare(t.Context(), uint64(n))
		return txn
	}
	named, other := prepare(1), prepare(2)
	if err := s.Recover(t.Context(), engine.Task{}, []engine.Txn{named}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), named); err != nil {
		t.Errorf("a second commit: %v", err)
	}
	if err := s.Commit(t.Context(), other); !engine.IsPermanent(err) {
		t.Errorf("error %v, want a permanent one", err)
	}
	if got := s.Rows(); !slices.Equal(got, []int{1}) {
		t.Errorf("rows %v, want what the checkpoint names", got)
	}
}
