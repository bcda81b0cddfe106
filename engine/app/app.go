package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/pagetide/pagetide/engine"
)

// Job is a job that the program can run.
type Job struct {
	Name  string // on the command line, and the job's name unless a setting gives another
	About string // one line

	// New declares the job's own flags and returns what builds its graph once they are parsed. It is called for every
	// use of the flags, help and completion too, so it must not do anything else. Build may set flags whose value it
	// works out; they are recorded in every checkpoint. args.Output is the place for remarks to the user.
	New func(args *flag.FlagSet) Build

	// Summary, if not nil, is shown when a run on a terminal has finished. args are the flags that the run had.
	Summary func(args *flag.FlagSet, w io.Writer) error

	// Decoders show values that went through codecs of the job's own to get, export and diff, which show them in base64
	// otherwise; see [engine.DecoderOf].
	Decoders []engine.Decoder
}

// Build adds sources, operators and sinks to a job.
type Build func(job *engine.Job) error

// Main runs the command line of the process and exits.
func Main(jobs ...Job) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // a P held in fsync starves no task
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, append(drainSignals, os.Interrupt, syscall.SIGTERM)...)
	p := program{
		name:     invokedAs(os.Args[0]),
		jobs:     jobs,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		signals:  signals,
		terminal: stderrTerminal,
		outlive:  func() { signal.Ignore(syscall.SIGPIPE) },
	}
	os.Exit(p.main(context.Background(), os.Args[1:]))
}

// Run runs a command line, without the program's name, and returns its exit code. It takes no signals; a run whose ctx
// ends has crashed and keeps its checkpoints.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, jobs ...Job) int {
	p := program{name: defaultName, jobs: jobs, stdout: stdout, stderr: stderr, terminal: noTerminal}
	return p.main(ctx, args)
}

const defaultName = "pagetide"

// program is one invocation.
type program struct {
	name           string // as to be typed again
	jobs           []Job
	args           []string
	stdout, stderr io.Writer
	signals        <-chan os.Signal            // nil: none come
	terminal       func() (width int, ok bool) // of stderr
	outlive        func()                      // or nil: makes the process survive the readers of its output
}

func (p *program) main(ctx context.Context, args []string) int {
	p.args = append([]string{}, args...) // never nil, which cobra would replace by os.Args
	err := p.checkJobs()
	if err == nil {
		root := p.rootCommand()
		root.SetArgs(p.args)
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[ended](err); ok {
		return int(code)
	}
	found, ok := errors.AsType[*problem](err)
	if !ok {
		found = usage(err, p.name+" --help")
	}
	found.print(p.stderr)
	return found.code
}

func (p *program) checkJobs() error {
	seen := map[string]bool{}
	for _, j := range p.jobs {
		if j.Name == "" || strings.HasPrefix(j.Name, "-") || seen[j.Name] || j.New == nil {
			return usage(fmt.Errorf("job %q of this program has no New, or no name of its own", j.Name), "")
		}
		seen[j.Name] = true
	}
	return nil
}

// ended is the error of a command that has told its story already.
type ended int

func (e ended) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// invokedAs is how to type the program's name again. What go run leaves in a temporary folder is gone by then.
func invokedAs(arg0 string) string {
	if strings.HasPrefix(arg0, os.TempDir()) || strings.Contains(arg0, "go-build") {
		arg0 = filepath.Base(arg0)
	}
	if arg0 == "" {
		return defaultName
	}
	return quote(strings.TrimSuffix(arg0, ".exe"))
}

func noTerminal() (int, bool) { return 0, false }

func stderrTerminal() (int, bool) {
	fd := int(os.Stderr.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return 0, false
	}
	width, _, err := term.GetSize(fd)
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}
