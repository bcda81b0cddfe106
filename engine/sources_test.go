package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// copyJob writes what a source gives, printed. Now and then the operator fails.
func copyJob[T any](in engine.Source[T], out engine.Sink[string], fails func() bool) *engine.Job {
	job := engine.NewJob("copy")
	src := engine.From(job, "in", in)
	rows := engine.FlatMap(src, func(v T, out engine.Out[string]) error {
		if fails != nil && fails() {
			return errors.New("injected")
		}
		out.Emit(fmt.Sprint(v))
		return nil
	})
	engine.To(rows, "out", out)
	return job
}

func numbers(n int) (rows []string) {
	for i := range n {
		rows = append(rows, strconv.Itoa(i))
	}
	slices.Sort(rows)
	return rows
}

// TestSourcesEndure kills and resumes jobs over the sources that can be read again; each record counts once.
func TestSourcesEndure(t *testing.T) {
	const n = 3000
	identity := func(i int64, _ time.Time) int64 { return i }
	for name, source := range map[string]func() engine.Source[int64]{
		"generator": func() engine.Source[int64] { return engine.Generate(engine.GenerateOptions{Count: n}, identity) },
		"generator, three": func() engine.Source[int64] {
			return engine.Generate(engine.GenerateOptions{Splits: 3, Count: n}, identity)
		},
		"generator, paced": func() engine.Source[int64] {
			return engine.Generate(engine.GenerateOptions{Splits: 2, Count: n, Rate: 1e6}, identity)
		},
		"function": func() engine.Source[int64] { return upTo(n) },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				d := &dice{rnd: rand.New(rand.NewPCG(seed, 77))}
				log := newLog()
				build := func() *engine.Job {
					return copyJob(source(), log, func() bool { return d.oneIn(2000) })
				}
				if err := endure(t, rand.New(rand.NewPCG(seed, 78)), vfs.NewFault(vfs.NewMem()), build); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if got := log.rows(); !slices.Equal(got, numbers(n)) {
					t.Fatalf("seed %d: %d rows, want each of %d once", seed, len(got), n)
				}
			}
			noneLeft(t)
		})
	}
}

// upTo counts from the position on.
func upTo(n int64) engine.Source[int64] {
	return engine.SourceFunc(func(_ context.Context, from engine.Position, b *engine.Batch[int64]) (engine.Position, error) {
		at, _ := strconv.ParseInt("0"+string(from), 10, 64)
		for ; at < n && !b.Full(); at++ {
			*b.Next() = at
		}
		if at == n {
			return engine.Position(strconv.FormatInt(at, 10)), io.EOF
		}
		return engine.Position(strconv.FormatInt(at, 10)), nil
	})
}

// cutOff is a source whose connections are cut: each once, in Open or in Read.
type cutOff struct {
	engine.Source[int64]
	open, read error // of the next call
}

func (c *cutOff) Open(ctx context.Context, s engine.Split, from engine.Position) (engine.Reader[int64], error) {
	err := c.open
	c.open = nil
	if err != nil {
		return nil, err
	}
	r, err := c.Source.Open(ctx, s, from)
	return &cutOffReader{r, c}, err
}

type cutOffReader struct {
	engine.Reader[int64]
	of *cutOff
}

func (r *cutOffReader) Read(ctx context.Context, b *engine.Batch[int64]) error {
	err := r.of.read
	r.of.read = nil
	if err != nil {
		return err
	}
	return r.Reader.Read(ctx, b)
}

// TestOnlyEOFEnds a split: not an error that wraps it, as net/http has them for connections that were cut, and not Open's.
func TestOnlyEOFEnds(t *testing.T) {
	cut := &url.Error{Op: "Get", URL: "http://records", Err: io.EOF}
	for _, c := range []*cutOff{{open: io.EOF}, {open: cut}, {read: cut}} {
		log := newLog()
		c.Source = upTo(1000)
		r := start(t, copyJob[int64](c, log, nil), engine.Options{Restart: quick()})
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		if n := r.Stats().Restarts; n != 1 {
			t.Errorf("%d restarts, want 1", n)
		}
		equal(t, log.rows(), numbers(1000))
	}
}

// TestNoReader is told as it is.
func TestNoReader(t *testing.T) {
	err := copyJob[int64](unopened{upTo(10)}, newLog(), nil).Run(t.Context(), engine.Options{Restart: engine.Restart{None: true}})
	contains(t, err, `source "in"`, `split "func"`, "the source opened no reader")
}

type unopened struct{ engine.Source[int64] }

func (unopened) Open(context.Context, engine.Split, engine.Position) (engine.Reader[int64], error) {
	return nil, nil
}

// renamed is a source with other splits than its own.
type renamed struct {
	engine.Source[int64]
	ids []string
}

func (l renamed) Splits(context.Context) (all []engine.Split, final bool, err error) {
	for _, id := range l.ids {
		all = append(all, engine.Split{ID: id})
	}
	return all, true, nil
}

// TestSplitsOfOneName are refused: a checkpoint could not tell their positions apart.
func TestSplitsOfOneName(t *testing.T) {
	_, err := copyJob[int64](renamed{upTo(10), []string{"a", "b", "a"}}, newLog(), nil).Start(t.Context(), engine.Options{})
	contains(t, err, `source "in"`, `two splits have the id "a"`)
}

// TestGenerateBySchedule: no record is there before it is due, and what a job has missed while it was down comes at once,
// with the times at which it was due.
func TestGenerateBySchedule(t *testing.T) {
	source := func() engine.Source[string] {
		o := engine.GenerateOptions{Splits: 2, Rate: 10}
		return engine.Generate(o, func(i int64, due time.Time) string { return fmt.Sprint(i, " at ", due.Sub(t0)) })
	}
	want := func(n int) (rows []string) {
		for i := range n {
			rows = append(rows, fmt.Sprint(i, " at ", time.Duration(i)*100*time.Millisecond))
		}
		slices.Sort(rows)
		return rows
	}
	clock, log := enginetest.NewClock(t0), newLog()
	o := engine.Options{Clock: clock, Parallelism: 2, Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
	r := start(t, copyJob(source(), log, nil), o)
	for _, n := range []int{1, 11, 21} {
		readAll(t, r, int64(n))
		if got := r.Stats().RecordsIn; got != int64(n) {
			t.Fatalf("%d records %s after the start, want %d", got, clock.Now().Sub(t0), n)
		}
		clock.Advance(time.Second)
	}
	readAll(t, r, 31)
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), want(31))

	clock.Advance(2 * time.Second) // down for so long
	r = start(t, copyJob(source(), log, nil), o)
	readAll(t, r, 51)
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), want(51))
}

// readAll waits until a job has read so many records, and taken a checkpoint after them.
func readAll(t *testing.T, r *engine.Running, n int64) {
	t.Helper()
	for {
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.Stats().RecordsIn >= n {
			return
		}
	}
}

// TestGenerateStart: a given start is kept, whatever the position says; a schedule that is added to a job begins now.
func TestGenerateStart(t *testing.T) {
	due := func(o engine.GenerateOptions, from engine.Position) string {
		t.Helper()
		in := engine.Generate(o, func(i int64, due time.Time) string { return fmt.Sprint(i, " at ", due.UTC().Format(time.TimeOnly)) })
		splits, _, err := in.Splits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := in.Open(t.Context(), splits[0], from)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b := engine.NewBatch[string]()
		for b.Len() == 0 {
			if err := r.Read(t.Context(), b); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		return b.Records()[0] + ", then " + string(r.Position())
	}
	given := engine.GenerateOptions{Rate: 1, Start: t0, Count: 6}
	if got, want := due(given, "5@17"), "5 at 00:00:05, then 6"; got != want {
		t.Errorf("with a start: %s, want %s", got, want)
	}
	given.Start = time.Time{}
	if got, want := due(given, engine.Position(fmt.Sprint("5@", t0.UnixNano()))), fmt.Sprint("5 at 00:00:05, then 6@", t0.UnixNano()); got != want {
		t.Errorf("with a start in the position: %s, want %s", got, want)
	}
	if got := due(given, "5"); !strings.HasPrefix(got, "5 at ") {
		t.Errorf("without a start in the position: %s", got)
	}
	given.Rate = 0
	if got, want := due(given, "5"), "5 at 00:00:00, then 6"; got != want {
		t.Errorf("without a rate: %s, want %s", got, want)
	}
}

// TestGenerateStartIsKept: a split that has made no record yet has the start in its position, too, so that another process
// does not begin its schedule anew.
func TestGenerateStartIsKept(t *testing.T) {
	open := func(from engine.Position) engine.Reader[string] {
		in := engine.Generate(engine.GenerateOptions{Splits: 2, Rate: 1e-3}, func(i int64, due time.Time) string { return fmt.Sprint(i, " at ", due.Unix()) })
		r, err := in.Open(t.Context(), engine.Split{ID: "1/2"}, from)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r, b := open(""), engine.NewBatch[string]()
	if err := r.Read(t.Context(), b); err != nil || b.Len() > 0 {
		t.Fatalf("%d records at once, %v", b.Len(), err)
	}
	if made, start, _ := strings.Cut(string(r.Position()), "@"); made != "0" || start == "" {
		t.Errorf("position %q, want the start in it", r.Position())
	}
	if got, want := open(r.Position()).Position(), r.Position(); got != want {
		t.Errorf("reopened at %q, want %q", got, want)
	}
}

func TestGenerateRefuses(t *testing.T) {
	f := func(i int64, _ time.Time) int64 { return i }
	for _, o := range []engine.GenerateOptions{{Splits: -1}, {Splits: 1 << 20}, {Count: -1}, {Rate: -1}, {Rate: math.NaN()}, {Rate: math.Inf(1)}} {
		if _, _, err := engine.Generate(o, f).Splits(t.Context()); !engine.IsPermanent(err) {
			t.Errorf("%+v: %v, want a permanent error", o, err)
		}
	}
	if _, _, err := engine.Generate[int](engine.GenerateOptions{}, nil).Splits(t.Context()); err == nil {
		t.Error("no function: no error")
	}
	in := engine.Generate(engine.GenerateOptions{Splits: 2}, f)
	for _, id := range []string{"", "0", "2/2", "0/3", "-1/2"} {
		if _, err := in.Open(t.Context(), engine.Split{ID: id}, ""); !engine.IsPermanent(err) {
			t.Errorf("split %q: %v, want a permanent error", id, err)
		}
	}
	for _, at := range []engine.Position{"x", "-1", "1@", "1@x", "9223372036854775807"} {
		if _, err := in.Open(t.Context(), engine.Split{ID: "0/2"}, at); !engine.IsPermanent(err) {
			t.Errorf("position %q: %v, want a permanent error", at, err)
		}
	}
}

// TestFromChannelEndures: each record counts once as long as what is kept reaches back to the checkpoint, through failures,
// stops and resumes.
func TestFromChannelEndures(t *testing.T) {
	const n = 3000
	for seed := range uint64(4) {
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 87))}
		log, ch := newLog(), make(chan int, 100)
		in := engine.FromChannel(ch, n)
		go func() {
			for i := range n {
				ch <- i
			}
			close(ch)
		}()
		build := func() *engine.Job {
			return copyJob(in, log, func() bool { return d.oneIn(2000) })
		}
		if err := endure(t, rand.New(rand.NewPCG(seed, 88)), vfs.NewFault(vfs.NewMem()), build); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got := log.rows(); !slices.Equal(got, numbers(n)) {
			t.Fatalf("seed %d: %d rows, want each of %d once", seed, len(got), n)
		}
	}
}

// TestFromChannelStops: a stop loses nothing that was taken ahead, however little is kept.
func TestFromChannelStops(t *testing.T) {
	ch := make(chan int, 2000)
	for i := range 2000 {
		ch <- i
	}
	in, log := engine.FromChannel(ch, 0), newLog()
	o := engine.Options{Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
	for range 5 {
		r := start(t, copyJob(in, log, nil), o)
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(ch)
	if err := copyJob(in, log, nil).Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), numbers(2000))
}

// TestFromChannelTellsLoss: records that are neither in the checkpoint nor kept are never passed over in silence.
func TestFromChannelTellsLoss(t *testing.T) {
	ch := make(chan int, 2000)
	for i := range 2000 {
		ch <- i
	}
	close(ch)
	in, seen := engine.FromChannel(ch, 600), 0
	fails := func() bool { seen++; return seen == 1900 }
	err := copyJob(in, newLog(), fails).Run(t.Context(), engine.Options{Restart: quick()})
	contains(t, err, "1400 records since the checkpoint are lost", "it stands at 0")
}

// TestFromChannelInAnotherProcess goes on counting where the checkpoint stands.
func TestFromChannelInAnotherProcess(t *testing.T) {
	o := engine.Options{Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
	log := newLog()
	for run := range 3 {
		ch := make(chan int, 1000)
		for i := range 1000 {
			ch <- run*1000 + i
		}
		r := start(t, copyJob(engine.FromChannel(ch, 700), log, nil), o)
		readAll(t, r, int64(run+1)*1000)
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, log.rows(), numbers(3000))
	if _, _, err := engine.FromChannel[int](nil, 0).Splits(t.Context()); !engine.IsPermanent(err) {
		t.Errorf("a nil channel: %v, want a permanent error", err)
	}
}

// TestFromChannelPositions reads again from any place that is kept, and from no other.
func TestFromChannelPositions(t *testing.T) {
	ch := make(chan int, 2000)
	in := engine.FromChannel(ch, 600)
	first, err := in.Open(t.Context(), engine.Split{}, "5")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		ch <- 5 + i
	}
	for b := engine.NewBatch[int](); first.Position() != "1005"; b.Reset() {
		first.Read(t.Context(), b)
	}
	for _, at := range []int{405, 406, 700, 1004} {
		r, err := in.Open(t.Context(), engine.Split{}, engine.Position(strconv.Itoa(at)))
		if err != nil {
			t.Fatal(err)
		}
		b := engine.NewBatch[int]()
		if r.Read(t.Context(), b); b.Len() == 0 || b.Records()[0] != at || r.Position() != engine.Position(strconv.Itoa(at+b.Len())) {
			t.Errorf("read at %d: %v, then %s", at, b.Records(), r.Position())
		}
	}
	for _, at := range []engine.Position{"x", "-1", "", "404", "1006"} {
		if _, err := in.Open(t.Context(), engine.Split{}, at); !engine.IsPermanent(err) {
			t.Errorf("position %q of 1005: %v, want a permanent error", at, err)
		}
	}
}

// oneAtATime fails the test if it is called by two at once.
type oneAtATime struct {
	t  *testing.T
	in chan struct{}
	bytes.Buffer
}

func (w *oneAtATime) Write(b []byte) (int, error) {
	select {
	case w.in <- struct{}{}:
		defer func() { <-w.in }()
		for range 1000 {
			runtime.Gosched() // let others come
		}
	default:
		w.t.Error("two at once")
	}
	return w.Buffer.Write(b)
}

// TestLines prints whole lines, from several subtasks.
func TestLines(t *testing.T) {
	w := &oneAtATime{t: t, in: make(chan struct{}, 1)}
	job := engine.NewJob("print")
	in := engine.Generate(engine.GenerateOptions{Splits: 4, Count: 2000}, func(i int64, _ time.Time) int64 { return i })
	engine.To(engine.From(job, "in", in), "out", engine.Lines[int64](w))
	if err := job.Run(t.Context(), engine.Options{Parallelism: 4}); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
	slices.Sort(rows)
	equal(t, rows, numbers(2000))
}

func TestLinesClosed(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	job := engine.NewJob("print")
	engine.To(engine.From(job, "in", engine.SliceSource(1)), "out", engine.Lines[int](w))
	err := job.Run(t.Context(), engine.Options{})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe: %v", err)
	}
	job = engine.NewJob("print")
	engine.To(engine.From(job, "in", engine.SliceSource(1)), "out", engine.Lines[int](nil))
	contains(t, job.Run(t.Context(), engine.Options{}), "the writer is nil")
}

// TestExplainGuarantees says of each end what it guarantees.
func TestExplainGuarantees(t *testing.T) {
	job := engine.NewJob("ends")
	in := engine.From(job, "in", engine.FromChannel(make(chan string), 0))
	engine.To(in, "once", engine.Sink[string](newLog()))
	engine.To(in, "again", engine.Stdout[string]())
	x, err := job.Explain(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`source "in": no event time, exactly once while the process lives, else at most once`,
		`sink "once", of 1: exactly once, visible after the checkpoint`,
		`sink "again", of 1: at least once`,
	} {
		if !strings.Contains(x.String(), want+"\n") {
			t.Errorf("%q is not in\n%s", want, x)
		}
	}
}
