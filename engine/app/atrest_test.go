package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/engine"
)

// shout is a codec that only its job knows.
type shout struct{}

func (shout) Name() string { return "shout" }
func (shout) Append(b []byte, v *string) ([]byte, error) {
	return append(b, strings.ToUpper(*v)...), nil
}
func (shout) Decode(b []byte, v *string) error { *v = strings.ToLower(string(b)); return nil }

// waiting reads its words and then waits.
type waiting []string

func (waiting) Splits(context.Context) ([]engine.Split, bool, error) {
	return []engine.Split{{ID: "words"}}, false, nil
}
func (w waiting) Open(context.Context, engine.Split, engine.Position) (engine.Reader[string], error) {
	return &waitingReader{words: w}, nil
}

type waitingReader struct{ words []string }

func (r *waitingReader) Read(ctx context.Context, b *engine.Batch[string]) error {
	if len(r.words) == 0 {
		<-ctx.Done()
		return nil
	}
	*b.Next() = r.words[0]
	r.words = r.words[1:]
	return nil
}
func (r *waitingReader) Position() engine.Position { return engine.Position("some") }
func (r *waitingReader) Close() error              { return nil }

// words has one operator with one state and one with two. It says when a word comes out.
func words(job *engine.Job, in waiting, out func(word string)) {
	byWord := engine.KeyBy(engine.From(job, "in", engine.Source[string](in)), func(s string) string { return s })
	named := engine.Process(byWord, "last", func(s *engine.Setup) engine.Func[string, string, string] {
		last := engine.NewValueState[string](s, "word", engine.Encoded(shout{}))
		return func(ctx *engine.Context, _, word string, out engine.Out[string]) error {
			last.Set(ctx, word)
			out.Emit(word)
			return nil
		}
	})
	seen := engine.Process(engine.KeyBy(named, func(s string) int { return len(s) }), "seen",
		func(s *engine.Setup) engine.Func[int, string, string] {
			n, list := engine.NewCell[int64](s, "n"), engine.NewListState[string](s, "list")
			return func(ctx *engine.Context, _ int, word string, out engine.Out[string]) error {
				*n.Ref(ctx)++
				list.Append(ctx, word)
				out.Emit(word)
				return nil
			}
		})
	engine.To(seen, "out", engine.SinkFunc(func(_ context.Context, words []string) error {
		for _, w := range words {
			out(w)
		}
		return nil
	}))
}

// leaveWords stops a run of the job words that has seen the words, and leaves its checkpoint in the directory. Another
// run goes on from there.
func leaveWords(t *testing.T, dir string, in ...string) {
	t.Helper()
	job, last := engine.NewJob("words"), make(chan bool, 1)
	words(job, in, func(word string) {
		if word == in[len(in)-1] {
			last <- true
		}
	})
	running, err := job.Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, Retained: 2}, Restore: engine.Resume()})
	if err != nil {
		t.Fatal(err)
	}
	<-last
	_, err = running.Stop(t.Context())
	if err := errors.Join(err, running.Wait()); err != nil {
		t.Fatal(err)
	}
}

const wordsDir = "pagetide-data/words"

func TestGetAndExport(t *testing.T) {
	w := newWorld(t)
	leaveWords(t, "pagetide-data", "red", "green", "red", "dark blue", "last")
	for _, tt := range []struct{ args, want string }{
		{"get " + wordsDir + " --uid last --key red", `{"key":"red","value":{"codec":"shout","base64":"UkVE"}}`},
		{"get " + wordsDir + " -u seen -S n -k 3", `{"key":3,"value":2}`},
		{"get " + wordsDir + " -u seen -S list -k 3", `{"key":3,"value":["red","red"]}`},
		{"export " + wordsDir + " -u seen -S list", `{"key":9,"value":["dark blue"]}`},
	} {
		w.expect(exitDone, "", strings.Fields(tt.args)...)
		if got := w.stdout.String(); !strings.Contains(got, tt.want+"\n") {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
	}
	if n := strings.Count(w.stdout.String(), "\n"); n != 4 {
		t.Errorf("export has %d lines, want 4:\n%s", n, w.stdout)
	}
	exported := w.stdout.String()
	w.expect(exitDone, "", "export", wordsDir, "-u", "seen", "-S", "list", "-o", "list.jsonl")
	if b, err := os.ReadFile("list.jsonl"); err != nil || string(b) != exported || w.stdout.String() != "" {
		t.Errorf("export -o: %v, %s, and %q on stdout", err, b, w.stdout)
	}

	w.expect(exitRefused, "which operator? (operators: last, seen)", "export", wordsDir)
	w.expect(exitRefused, "which state? (states: n, list)", "export", wordsDir, "-u", "seen")
	w.expect(exitRefused, `unknown operator "lost"; did you mean last? (operators: last, seen)`, "export", wordsDir, "--uid=lost")
	w.expect(exitRefused, `unknown state "lists"; did you mean list? (states: n, list)`, "export", wordsDir, "-u=seen", "-S", "lists")
	w.expect(exitRefused, `"x" is no int64: not JSON`, "get", wordsDir, "-u", "seen", "-S", "n", "-k", "x")
	w.expect(exitRefused, "needs --key", "get", wordsDir, "-u", "last")
	w.expect(exitFailed, "hint: the nearest key is green", "get", wordsDir, "-u", "last", "--key", "greene")
	w.expect(exitFailed, "export pagetide-data/words lists all keys", "get", wordsDir, "-u", "last", "--key", "yellow")
	w.expect(exitCheckpoint, "nowhere", "get", "nowhere", "--key", "yellow")
	w.expect(exitFailed, "nowhere", "export", wordsDir, "-u", "last", "-o", "nowhere/file")
}

func TestDiff(t *testing.T) {
	w := newWorld(t)
	leaveWords(t, "pagetide-data", "red", "green", "last")
	before, err := filepath.Glob(wordsDir + "/chk-*")
	if err != nil || len(before) == 0 {
		t.Fatal(before, err)
	}
	older := before[len(before)-1]
	leaveWords(t, "pagetide-data", "red", "dark blue", "end")

	w.expect(exitDone, "", "diff", older, wordsDir, "--keys")
	for _, want := range []string{
		"from " + older + "/_metadata to " + wordsDir, "UID   BEFORE  AFTER", "\nlast  ",
		`+ last word {"key":"dark blue","value":{"codec":"shout","base64":"REFSSyBCTFVF"}}`,
		`~ seen n {"key":3,"value":1} -> {"key":3,"value":3}`,
		`~ seen list {"key":3,"value":["red"]} -> {"key":3,"value":["red","red","end"]}`,
		"seen  n      1      0        1        -",
	} {
		if !strings.Contains(strings.ReplaceAll(w.stdout.String(), "\n  ", "\n"), want) {
			t.Errorf("diff --keys lacks %q:\n%s", want, w.stdout)
		}
	}
	w.expect(exitDone, "", "diff", wordsDir, older, "--keys", "--json")
	if want := `{"uid":"seen","state":"n","change":"removed","before":{"key":9,"value":1}}`; !strings.Contains(w.stdout.String(), want+"\n") {
		t.Errorf("diff --keys --json lacks %s:\n%s", want, w.stdout)
	}
	for line := range strings.Lines(w.stdout.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	w.expect(exitDone, "", "diff", older, wordsDir, "--json")
	var c comparison
	if err := json.Unmarshal([]byte(w.stdout.String()), &c); err != nil || len(c.Operators) != 2 || c.Operators[1].UID != "seen" || c.Operators[1].Lines == 0 {
		t.Errorf("diff --json: %v, %+v", err, c)
	}
	w.expect(exitDone, "", "diff", older, older, "--keys", "--json")
	if w.stdout.String() != "" {
		t.Errorf("a checkpoint differs from itself:\n%s", w.stdout)
	}

	w.expect(exitRefused, "two checkpoints", "diff", older)
	w.expect(exitCheckpoint, "nowhere", "diff", older, "nowhere")
	leaveWords(t, "elsewhere", "red")
	w.expect(exitCheckpoint, "seed", "diff", older, "elsewhere/words")
}

// A program that knows a job's codec shows its values.
func TestDecoders(t *testing.T) {
	newWorld(t)
	leaveWords(t, "pagetide-data", "red")
	stdout, stderr := &buffer{}, &buffer{}
	job := Job{Name: "words", New: func(*flag.FlagSet) Build { return nil }, Decoders: []engine.Decoder{engine.DecoderOf(shout{})}}
	code := Run(t.Context(), []string{"get", wordsDir, "-u", "last", "-k", "red"}, stdout, stderr, job)
	if code != exitDone || stdout.String() != `{"key":"red","value":"red"}`+"\n" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

func TestCompleteStates(t *testing.T) {
	w := newWorld(t)
	leaveWords(t, "pagetide-data", "red")
	for args, want := range map[string]string{
		"__complete get " + wordsDir + " --uid ":              "last\nseen\n",
		"__complete export " + wordsDir + " -u seen --state ": "n\tvalue of seen\nlist\tlist of seen\n:",
		"__complete export " + wordsDir + " -S ":              "word\tvalue of last\nn\t",
		"__complete export nowhere -S ":                       ":4",
	} {
		if code := w.run(append(strings.Fields(args), "")...); code != exitDone || !strings.Contains(w.stdout.String(), want) {
			t.Errorf("%s: exit %d, want %q:\n%s", args, code, want, w.stdout)
		}
	}
}

// Work on checkpoints at rest ends with the first signal.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	leaveWords(t, "pagetide-data", "red")
	p := &program{signals: w.signals}
	w.signals <- syscall.SIGINT
	ctx, stop := p.interruptible(t.Context())
	defer stop()
	<-ctx.Done()
	if found := atRest(ctx.Err()); found.code != exitCancelled {
		t.Errorf("exit %d: %v", found.code, found)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	stderr := &buffer{}
	if code := Run(cancelled, []string{"export", wordsDir, "-u", "last"}, stderr, stderr); code != exitCancelled {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if code := Run(cancelled, []string{"verify", wordsDir}, stderr, stderr); code != exitCancelled {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
