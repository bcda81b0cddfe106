package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/engine"
)

// runFlags are the flags of run, before JOB.
type runFlags struct {
	from        string
	resume      bool
	fresh       bool
	rewind      bool
	ignoreExtra bool
	name        string
	named       bool // --name was given
	retain      bool
	file        string
	defines     []string
	json        bool
	verbose     int
}

// run settles what to run, in this order: settings, the checkpoint to restore, the job's flags, its graph.
func (p *program) run(cmd *cobra.Command, f runFlags, args []string) error {
	job, err := p.findJob(args)
	if err != nil {
		return err
	}
	f.named = cmd.Flags().Changed("name")
	s := &session{p: p, job: job, flags: f, screen: newScreen(p, f)}
	err = s.run(cmd, args[1:])
	if found, ok := errors.AsType[*problem](err); ok && f.json {
		s.screen.show(event{Event: "refused", Job: job.Name, Error: found.Error(), Hint: found.hint, Exit: found.code})
	}
	return err
}

func (p *program) findJob(args []string) (Job, error) {
	help := fmt.Sprintf("%s run --help", p.name)
	if len(args) == 0 {
		return Job{}, usage(fmt.Errorf("run needs a job:\n%s", p.jobTable()), help)
	}
	for _, j := range p.jobs {
		if j.Name == args[0] {
			return j, nil
		}
	}
	return Job{}, unknown("job", args[0], p.jobNames(), help)
}

func (s *session) run(cmd *cobra.Command, args []string) error {
	if err := s.flags.check(cmd.Flags().Changed("from")); err != nil {
		return err
	}
	jobArgs, err := s.parseJobFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		return s.jobHelp(jobArgs)
	}
	if err != nil {
		return err
	}
	if s.config, err = loadConfig(s.flags, s.job); err != nil {
		return err
	}
	if err := s.recall(jobArgs); err != nil {
		return err
	}
	job := engine.NewJob(s.config.name)
	jobArgs.set.SetOutput(s.screen)
	if err := jobArgs.build(job); err != nil {
		return s.buildProblem(err)
	}
	s.args = jobArgs
	return s.play(cmd.Context(), job)
}

// check finds flags that contradict each other.
func (f runFlags) check(from bool) error {
	var start []string // each a different start
	for _, s := range []struct {
		name string
		on   bool
	}{{"-s", from}, {"--resume", f.resume}, {"--fresh", f.fresh}} {
		if s.on {
			start = append(start, s.name)
		}
	}
	switch {
	case len(start) > 1:
		return usage(fmt.Errorf("%s contradict each other", strings.Join(start, " and ")), "each says what to start from: give one")
	case from && f.from == "":
		return usage(errors.New("-s needs the path of a checkpoint, found an empty one"), "")
	case f.rewind && !from && !f.resume:
		return usage(errors.New("--rewind says how to restore, and there is nothing to restore"), "give a checkpoint with -s PATH")
	}
	return nil
}

// buildProblem tells a missing input from a wrong flag: a permanent error is the job's failure.
func (s *session) buildProblem(err error) error {
	p := s.refused(err)
	if p.code == exitRefused && p.hint == "" {
		p.hint = fmt.Sprintf("%s run %s --help", s.p.name, s.job.Name)
	}
	return p
}

func (s *session) jobHelp(a *jobFlags) error {
	fmt.Fprintf(s.p.stdout, "%s\n\nUsage:\n  %s run [flags] %s [job flags]\n\nJob flags:\n", s.job.About, s.p.name, s.job.Name)
	a.set.SetOutput(s.p.stdout)
	a.set.PrintDefaults()
	a.set.SetOutput(io.Discard)
	return nil
}
