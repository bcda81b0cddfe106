package flights

import (
	"embed"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/app"
	"github.com/pagetide/pagetide/engine/connect/file"
)

// Job is the job as the program offers it.
var Job = app.Job{Name: "flights", About: "how late flights leave, per airport and day", New: newJob, Summary: summary}

//go:embed data/flights.jsonl.gz data/LICENSE-vega-datasets
var data embed.FS

func newJob(args *flag.FlagSet) app.Build {
	input := args.String("input", "", "flights as JSON Lines, plain or gzip, `FILE` or - for standard input (default: embedded, 20,000 flights of 2001)")
	output := args.String("output", "", "`DIR` for the result, without part-* files of another run (default: a new folder under pagetide-out)")
	rate := args.Int("rate", 0, "read at most `N` flights per second (default: no limit)")
	policy := file.Fail
	args.TextVar(&policy, "on-error", file.Fail, "`POLICY` for malformed rows: fail or skip")
	return func(job *engine.Job) error {
		if *rate < 0 {
			return fmt.Errorf("--rate %d: want 0 or more flights per second", *rate)
		}
		if *output == "" {
			dir, err := newFolder(time.Now())
			if err != nil {
				return err
			}
			if err := args.Set("output", dir); err != nil { // recorded, so that a resumed run goes on there
				return err
			}
		}
		if *input == "-" {
			fmt.Fprintln(args.Output(), "standard input cannot be read again: this run cannot be resumed")
		}
		o := []file.Option{file.OnError(policy), file.Rate(*rate), file.Check(Flight.check)}
		delays(job, source(*input, o), file.JSONLinesSink[Delays](*output, file.RequireEmpty()))
		return nil
	}
}

func source(input string, o []file.Option) engine.Source[Flight] {
	if input != "" {
		return file.JSONLines[Flight](input, o...)
	}
	open := func() (io.ReadCloser, error) { return data.Open("data/flights.jsonl.gz") }
	return file.JSONLinesOf[Flight]("embedded flights", open, o...)
}

func delays(job *engine.Job, in engine.Source[Flight], out engine.Sink[Delays]) {
	flights := engine.From(job, "flights", in, engine.EventTime(Flight.Time, engine.OutOfOrder(time.Hour)))
	byOrigin := engine.KeyBy(flights, func(f Flight) string { return f.Origin })
	days := engine.Window(byOrigin, engine.Tumbling(24*time.Hour))
	engine.To(engine.Aggregate(days, "daily-delay", delayStats{}), "out", out)
}
