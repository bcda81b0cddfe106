package app

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// buffer is an io.Writer for several goroutines.
type buffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	ended bool
	more  chan struct{} // closed by the next write, or the end
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake()
	return b.b.Write(p)
}

// end says that nothing more will be written.
func (b *buffer) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.wake()
}

// wake wakes who waits. The caller holds mu.
func (b *buffer) wake() {
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

// until waits until one of the texts has been written so many times; it is false if that will not be.
func (b *buffer) until(times int, texts ...string) bool {
	for {
		b.mu.Lock()
		if b.more == nil {
			b.more = make(chan struct{})
		}
		said, ended, more := b.b.String(), b.ended, b.more
		b.mu.Unlock()
		switch {
		case slices.ContainsFunc(texts, func(text string) bool { return strings.Count(said, text) >= times }):
			return true
		case ended:
			return false
		}
		<-more
	}
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// world is a working directory and a program in it.
type world struct {
	t       *testing.T
	signals chan os.Signal
	live    bool
	ctx     context.Context
	entered chan struct{} // job "stuck" has begun to be stuck
	stuck   chan struct{} // and ends when this is closed

	stdout, stderr *buffer
	seen           []int // records that reached the sink of job "count"
	args           string
}

func newWorld(t *testing.T) *world {
	t.Chdir(t.TempDir())
	return &world{t: t, ctx: t.Context(), signals: make(chan os.Signal, 2)}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(args ...string) int {
	w.stdout, w.stderr, w.seen = &buffer{}, &buffer{}, nil
	p := program{name: defaultName, jobs: w.jobs(), stdout: w.stdout, stderr: w.stderr, signals: w.signals,
		terminal: func() (int, bool) { return 120, w.live }}
	return p.main(w.t.Context(), args)
}

// expect runs a command line and wants its exit code and a text on stderr.
func (w *world) expect(code int, want string, args ...string) {
	w.t.Helper()
	if got := w.run(args...); got != code || !strings.Contains(w.stderr.String(), want) {
		w.t.Errorf("%s: exit %d, want %d, and %q on stderr:\n%s", strings.Join(args, " "), got, code, want, w.stderr)
	}
}

func (w *world) lastLine() string {
	lines := strings.Split(strings.TrimSpace(w.stderr.String()), "\n")
	return lines[len(lines)-1]
}

// keptPath is the checkpoint that the last line names.
func (w *world) keptPath() string {
	w.t.Helper()
	_, rest, _ := strings.Cut(w.lastLine(), " -s ")
	path, _, ok := strings.Cut(rest, " ")
	if !ok {
		w.t.Fatalf("no path in the last line %q", w.lastLine())
	}
	return path
}

// endless never comes to an end of its own.
type endless struct{}

func (endless) Splits(context.Context) ([]engine.Split, bool, error) {
	return []engine.Split{{ID: "all"}}, true, nil
}
func (endless) Open(_ context.Context, _ engine.Split, from engine.Position) (engine.Reader[int], error) {
	return &endlessReader{at: len(from)}, nil
}

type endlessReader struct{ at int }

func (r *endlessReader) Read(ctx context.Context, b *engine.Batch[int]) error {
	select {
	case <-ctx.Done():
	case <-time.After(time.Millisecond):
		if v := b.Next(); v != nil {
			*v = r.at
			r.at++
		}
	}
	return nil
}
func (r *endlessReader) Position() engine.Position {
	return engine.Position(strings.Repeat("i", r.at%1000+1))
}
func (*endlessReader) Close() error { return nil }

func (w *world) jobs() []Job {
	sink := func(fail error) engine.Sink[int] {
		return engine.SinkFunc(func(_ context.Context, batch []int) error {
			w.seen = append(w.seen, batch...)
			return fail
		})
	}
	graph := func(src engine.Source[int], fail error) Build {
		return func(job *engine.Job) error {
			engine.To(engine.From(job, "in", src), "out", sink(fail))
			return nil
		}
	}
	return []Job{
		{Name: "count", About: "counts", New: func(args *flag.FlagSet) Build {
			rate := args.Int("rate", 0, "records per second")
			output := args.String("output", "", "where to")
			deep := args.Bool("deep", false, "a switch")
			return func(job *engine.Job) error {
				if *output == "" {
					args.Set("output", "made-up")
				}
				w.args = fmt.Sprintf("rate=%d output=%s deep=%v", *rate, *output, *deep)
				return graph(engine.SliceSource(1, 2, 3), nil)(job)
			}
		}, Summary: func(_ *flag.FlagSet, out io.Writer) error {
			fmt.Fprintln(out, "the summary")
			return nil
		}},
		{Name: "endless", About: "never ends", New: func(args *flag.FlagSet) Build {
			args.Int("rate", 0, "records per second")
			return func(job *engine.Job) error {
				nothing := func(context.Context, []int) error { return nil }
				engine.To(engine.From(job, "in", endless{}), "out", engine.SinkFunc(nothing))
				return nil
			}
		}},
		{Name: "keyed", About: "has state", New: func(*flag.FlagSet) Build { return keyed }},
		{Name: "stuck", About: "does not return", New: func(*flag.FlagSet) Build {
			return func(job *engine.Job) error {
				stuck := func(context.Context, []int) error {
					select {
					case w.entered <- struct{}{}:
					case <-w.stuck:
					}
					<-w.stuck
					return nil
				}
				engine.To(engine.From(job, "in", engine.Source[int](endless{})), "out", engine.SinkFunc(stuck))
				return nil
			}
		}},
		{Name: "broken", About: "fails", New: func(*flag.FlagSet) Build {
			return graph(engine.SliceSource(1), engine.Permanent(errors.New("the sink is broken")))
		}},
		{Name: "panics", About: "panics", New: func(*flag.FlagSet) Build {
			return func(job *engine.Job) error {
				engine.To(engine.Map(engine.From(job, "in", engine.SliceSource(1)), panicking), "out", sink(nil))
				return nil
			}
		}},
		{Name: "unused", About: "has a mistake", New: func(*flag.FlagSet) Build {
			return func(job *engine.Job) error {
				engine.From(job, "in", engine.SliceSource(1))
				return nil
			}
		}},
		{Name: "unbuilt", About: "cannot be built", New: func(args *flag.FlagSet) Build {
			input := args.String("input", "none.csv", "file")
			return func(*engine.Job) error {
				_, err := os.Stat(*input)
				return engine.Permanent(err)
			}
		}},
	}
}

// panicking is named in the stack of its panic.
func panicking(int) int { panic("on the first record") }

// keyed counts in windows.
func keyed(job *engine.Job) error {
	minute := func(i int) time.Time { return time.Unix(int64(i)*60, 0) }
	in := engine.From(job, "in", engine.Source[int](endless{}), engine.EventTime(minute, engine.OutOfOrder(time.Hour)))
	byDigit := engine.KeyBy(in, func(i int) int64 { return int64(i % 10) })
	counts := engine.Aggregate(engine.Window(byDigit, engine.Tumbling(time.Hour)), "count", counter{})
	engine.To(counts, "out", engine.SinkFunc(func(context.Context, []int64) error { return nil }))
	return nil
}

type counter struct{}

type count struct{ N int64 }

func (counter) Add(c *count, _ int)                              { c.N++ }
func (counter) Merge(into *count, from count)                    { into.N += from.N }
func (counter) Result(_ int64, _ engine.Span, c count) (n int64) { return c.N }

const chk = "pagetide-data/endless"

// leaveBehind crashes a run of the endless job, so that it leaves checkpoints.
func (w *world) leaveBehind(args ...string) {
	w.t.Helper()
	ctx, crash := context.WithCancel(w.t.Context())
	w.ctx = ctx
	if code := w.during(crash, args...); code != exitFailed {
		w.t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	w.ctx = w.t.Context()
	if !strings.Contains(w.lastLine(), "is kept; resume with: pagetide run") {
		w.t.Fatalf("last line %q", w.lastLine())
	}
}

// during runs a command line of the endless job and calls do once it is under way.
func (w *world) during(do func(), args ...string) int {
	done := make(chan int)
	w.stdout, w.stderr = &buffer{}, &buffer{}
	stdout, stderr := w.stdout, w.stderr
	p := program{name: defaultName, jobs: w.jobs(), stdout: stdout, stderr: stderr, signals: w.signals,
		terminal: func() (int, bool) { return 120, w.live }}
	go func() {
		code := p.main(w.ctx, append([]string{"run", "--json"}, args...))
		stdout.end()
		stderr.end()
		done <- code
	}()
	if stdout.until(1, `"event":"checkpoint"`, `"event":"restored"`) && stdout.until(1, `"event":"started"`) {
		do()
	}
	return <-done
}

func TestFinished(t *testing.T) {
	w := newWorld(t)
	w.expect(exitDone, "finished after", "run", "count")
	if got := fmt.Sprint(w.seen); got != "[1 2 3]" {
		t.Errorf("the sink got %s", got)
	}
	if !strings.HasPrefix(w.lastLine(), "checkpoints deleted") {
		t.Errorf("last line %q", w.lastLine())
	}
	if w.stdout.String() != "" {
		t.Errorf("stdout %q", w.stdout)
	}
	w.expect(exitDone, "finished after", "run", "count") // nothing is in its way
}

func TestTerminal(t *testing.T) {
	w := newWorld(t)
	w.live = true
	w.expect(exitDone, "finished after", "run", "count")
	if w.stdout.String() != "the summary\n" {
		t.Errorf("stdout %q", w.stdout)
	}
}

func TestSignals(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		sig  os.Signal
		args []string
		code int
		kept bool
	}{
		{"cancelled", os.Interrupt, []string{"endless"}, exitCancelled, false},
		{"cancelled and retained", os.Interrupt, []string{"--retain", "endless"}, exitCancelled, true},
		{"stopped", syscall.SIGTERM, []string{"--resume", "endless"}, exitDone, true},
	} {
		code := w.during(func() { w.signals <- tt.sig }, tt.args...)
		kept := strings.Contains(w.lastLine(), "is kept; resume with: pagetide run -s pagetide-data/endless/chk-")
		if code != tt.code || kept != tt.kept {
			t.Errorf("%s: exit %d, want %d; kept %v, want %v:\n%s", tt.name, code, tt.code, kept, tt.kept, w.stderr)
		}
	}
}

// The second signal does not wait for a task that does not return, and leaves the checkpoint where it is.
func TestSecondSignal(t *testing.T) {
	w := newWorld(t)
	w.entered, w.stuck = make(chan struct{}), make(chan struct{})
	code := w.during(func() {
		<-w.entered
		w.signals <- os.Interrupt
		w.signals <- os.Interrupt // an echo
		w.stderr.until(1, "cancelling")
		time.Sleep(2 * echo)
		w.signals <- os.Interrupt
	}, "stuck")
	if code != exitCancelled || !strings.Contains(w.lastLine(), "left at once; checkpoint 1 is kept; resume with: pagetide run -s pagetide-data/stuck/chk-1/_metadata stuck") {
		t.Errorf("exit %d:\n%s", code, w.stderr)
	}
	if _, err := os.Stat("pagetide-data/stuck/chk-1/_metadata"); err != nil {
		t.Error(err)
	}
	close(w.stuck)
	for (&session{dir: "pagetide-data/stuck"}).orLocked(nil) != nil { // the run that was left lives on in this process
		time.Sleep(time.Millisecond)
	}
}

func TestResume(t *testing.T) {
	w := newWorld(t)
	w.leaveBehind("endless", "--rate", "7")
	w.expect(exitRefused, "run --resume endless continues it", "run", "endless")

	stop := func() { w.signals <- syscall.SIGTERM }
	if code := w.during(stop, "--resume", "endless"); code != exitDone || !strings.Contains(w.stdout.String(), `"--rate=7"`) {
		t.Errorf("--resume: exit %d, want the recorded flags:\n%s%s", code, w.stdout, w.stderr)
	}
	if code := w.during(stop, "-s", "latest", "endless", "--rate=8"); code != exitDone || !strings.Contains(w.stderr.String(), "--rate is 8 now; the checkpoint records 7") {
		t.Errorf("-s latest: exit %d, want the difference:\n%s", code, w.stderr)
	}
	path := w.keptPath()
	if code := w.during(stop, "-s", path, "endless"); code != exitDone || !strings.Contains(w.stdout.String(), `"--rate=8"`) {
		t.Errorf("-s PATH: exit %d:\n%s%s", code, w.stdout, w.stderr)
	}
	path = w.keptPath()
	w.expect(exitCheckpoint, `is of job "endless", not of "count"`, "run", "-s", path, "count")
	w.expect(exitCheckpoint, "hint: pagetide run -s "+path+" endless continues job endless", "run", "-s", path, "count")
	if code := w.during(stop, "--fresh", "endless"); code != exitDone || strings.Contains(w.stdout.String(), "rate") {
		t.Errorf("--fresh: exit %d:\n%s%s", code, w.stdout, w.stderr)
	}
}

func TestLocked(t *testing.T) {
	w := newWorld(t)
	first := *w
	first.during(func() {
		w.expect(exitLocked, fmt.Sprint(os.Getpid()), "run", "endless")
		w.expect(exitLocked, fmt.Sprint(os.Getpid()), "run", "--resume", "endless")
		first.signals <- os.Interrupt
	}, "endless")
}

func TestNotNewest(t *testing.T) {
	w := newWorld(t)
	w.write("pagetide.yaml", "execution.checkpointing:\n  num-retained: 2\n  interval: 10 ms\n")
	many := func() {
		w.stdout.until(3, `"event":"checkpoint"`)
		w.signals <- syscall.SIGTERM
	}
	if code := w.during(many, "endless"); code != exitDone {
		t.Fatalf("exit %d:\n%s", code, w.stderr)
	}
	paths, _ := filepath.Glob(chk + "/chk-*/_metadata")
	if len(paths) != 2 {
		t.Fatalf("checkpoints %v", paths)
	}
	older := paths[0]
	if len(paths[1]) < len(older) {
		older = paths[1]
	}
	w.expect(exitCheckpoint, "hint: --rewind", "run", "-s", older, "endless")
	if code := w.during(func() { w.signals <- syscall.SIGTERM }, "-s", older, "--rewind", "endless"); code != exitDone {
		t.Errorf("--rewind: exit %d:\n%s", code, w.stderr)
	}
	if !strings.Contains(w.stderr.String(), "comes again, at least once") {
		t.Errorf("--rewind is not announced:\n%s", w.stderr)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.write("bad.yaml", "parallelism:\n  defualt: 2\nstate.backend: memory\nlist: [1]\n")
	w.write("worse.yaml", "a: [\n")
	for _, tt := range []struct {
		code int
		want string
		args string
	}{
		{exitFailed, "the sink is broken", "run broken"},
		{exitRefused, "the stream of", "run unused"},
		{exitFailed, "none.csv", "run unbuilt"},
		{exitRefused, `unknown job "cuont"; did you mean count? (jobs: count, endless`, "run cuont --rate 3"},
		{exitRefused, "run needs a job", "run"},
		{exitRefused, `unknown command "rnu"; did you mean run?`, "rnu"},
		{exitRefused, `unknown command "nosuch"`, "nosuch"},
		{exitRefused, "hint: pagetide run count --rate 3", "run --rate 3 count"},
		{exitRefused, "hint: pagetide run --json -Dparallelism.default=2 count --deep --rate 3", "run --deep --json count --rate 3 -Dparallelism.default=2"},
		{exitRefused, "hint: pagetide run -s latest count -deep", "run count -deep -s latest"},
		{exitRefused, "did you mean --resume?", "run --resum count"},
		{exitRefused, "did you mean --rate?", "run count --rat 3"},
		{exitRefused, "job count takes flags only", "run count 3"},
		{exitRefused, "invalid value", "run count --rate x"},
		{exitRefused, "did you mean parallelism.default?", "run -D parallelism.defualt=2 count"},
		{exitRefused, "want key=value", "run -D parallelism count"},
		{exitRefused, "bad.yaml:2: unknown setting \"parallelism.defualt\"", "run -c bad.yaml count"},
		{exitRefused, "bad.yaml:4: list: want a single value", "run -c bad.yaml count"},
		{exitRefused, "worse.yaml", "run -c worse.yaml count"},
		{exitRefused, "none.yaml", "run -c none.yaml count"},
		{exitRefused, "want a plain folder name", "run --name a/b count"},
		{exitRefused, "name is empty", "run --name= count"},
		{exitRefused, "--resume and --fresh contradict each other", "run --resume --fresh count"},
		{exitRefused, "nothing to restore", "run --rewind count"},
		{exitRefused, "setting state.checkpoints.dir: hdfs://x/y: no storage", "run -D state.checkpoints.dir=hdfs://x/y count"},
		{exitRefused, "setting state.backend.data-dir: hdfs://x/y: no storage", "run -D state.backend.data-dir=hdfs://x/y count"},
		{exitRefused, "setting state.backend.data-dir: hdfs://x/y: no storage", "verify -D state.backend.data-dir=hdfs://x/y here"},
		{exitRefused, "use a plain path or file://\n", "run -s hdfs://x/y count"},
		{exitRefused, "use a plain path or file://\n", "inspect hdfs://x/y"},
		{exitRefused, "want text without blanks around it", "run --name \xff count"},
		{exitRefused, "hint: pagetide --help", "--nosuch"},
		{exitRefused, "hint: pagetide verify --help", "verify --nosuch"},
		{exitCheckpoint, "run --resume count starts fresh", "run -s latest count"},
		{exitCheckpoint, "nowhere", "run -s nowhere count"},
		{exitCheckpoint, "nowhere", "inspect nowhere"},
		{exitCheckpoint, "nowhere", "verify nowhere"},
		{exitRefused, "verify takes the path of one checkpoint", "verify"},
	} {
		w.expect(tt.code, tt.want, strings.Fields(tt.args)...)
		if !strings.HasPrefix(w.stderr.String(), "pagetide: ") && tt.code != exitFailed {
			t.Errorf("%s: stderr %q", tt.args, w.stderr)
		}
	}
	w.expect(exitRefused, "want text without blanks around it", "run", "--name", " ", "count")
	w.expect(exitRefused, "verify needs the path of a checkpoint, found an empty one", "verify", "")
	if _, err := os.Stat("hdfs:"); err == nil {
		t.Error("made a folder called hdfs:")
	}
}

func TestMissingFresh(t *testing.T) {
	w := newWorld(t)
	w.expect(exitDone, "starting fresh", "run", "--resume", "count")
}

func TestArgs(t *testing.T) {
	w := newWorld(t)
	w.expect(exitDone, "", "run", "--json", "count", "-rate=3", "-deep")
	if want := `"args":["--deep=true","--output=made-up","--rate=3"]`; !strings.Contains(w.stdout.String(), want) {
		t.Errorf("want %s in:\n%s", want, w.stdout)
	}
	a := newJobFlags(w.jobs()[0])
	a.set.Parse([]string{"--rate", "4"})
	remarks, err := a.recall([]string{"--rate=3", "--output=a=b", "--gone=1"})
	if err != nil || len(remarks) != 2 || a.set.Lookup("output").Value.String() != "a=b" || a.set.Lookup("rate").Value.String() != "4" {
		t.Errorf("recall: %q, %v, %q", remarks, err, a.effective())
	}
	if _, err := newJobFlags(w.jobs()[0]).recall([]string{"--rate=x"}); err == nil {
		t.Error("a recorded flag with a bad value was accepted")
	}
}

func TestJSONRefusal(t *testing.T) {
	w := newWorld(t)
	w.run("run", "--json", "-s", "latest", "count")
	if !strings.Contains(w.stdout.String(), `"event":"refused"`) || !strings.Contains(w.stdout.String(), `"exit":4`) {
		t.Errorf("stdout %s", w.stdout)
	}
}

func TestHelp(t *testing.T) {
	w := newWorld(t)
	for args, want := range map[string]string{
		"":                                "Available Commands",
		"run --help":                      "count     counts",
		"run count --help":                "-rate",
		"help settings":                   "execution.checkpointing.interval",
		"version":                         "metadata format",
		"completion bash":                 "bash completion",
		"__complete run cou":              "count\tcounts",
		"__complete run count --":         "--output",
		"__complete run -s ":              "latest",
		"__complete run -D paral":         "parallelism.default=",
		"__complete run --json count --d": "--deep",
	} {
		words := strings.Fields(args)
		if strings.HasSuffix(args, " ") {
			words = append(words, "")
		}
		if code := w.run(words...); code != exitDone || !strings.Contains(w.stdout.String(), want) {
			t.Errorf("%q: exit %d, want %q:\n%s%s", args, code, want, w.stdout, w.stderr)
		}
	}
}
