package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/pagetide/pagetide/meta"
)

// jobFlags are a job's own flags, parsed, and what builds its graph from them.
type jobFlags struct {
	set   *flag.FlagSet
	build Build
}

func newJobFlags(job Job) *jobFlags {
	set := flag.NewFlagSet(job.Name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // package flag prints errors; ours carry hints
	set.Usage = func() {}
	return &jobFlags{set: set, build: job.New(set)}
}

func (s *session) parseJobFlags(args []string) (*jobFlags, error) {
	a := newJobFlags(s.job)
	err := a.set.Parse(args)
	help := fmt.Sprintf("%s run %s --help", s.p.name, s.job.Name)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return a, err
	case err != nil:
		return nil, s.p.jobFlagError(s.job, err, help)
	case a.set.NArg() > 0:
		return nil, usage(fmt.Errorf("job %s takes flags only, found %q", s.job.Name, a.set.Arg(0)), help)
	}
	return a, nil
}

// given are the flags that have been set so far, by name.
func (a *jobFlags) given() map[string]string {
	m := map[string]string{}
	a.set.Visit(func(f *flag.Flag) { m[f.Name] = f.Value.String() })
	return m
}

// effective are the arguments that make the same job again: all that were set or differ from their default.
func (a *jobFlags) effective() []string {
	m := a.given()
	a.set.VisitAll(func(f *flag.Flag) {
		if v := f.Value.String(); v != f.DefValue {
			m[f.Name] = v
		}
	})
	var args []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		args = append(args, "--"+name+"="+m[name])
	}
	return args
}

// recall sets the flags that were recorded in a checkpoint and not given now. Its remarks say what differs.
func (a *jobFlags) recall(recorded []string) (remarks []string, err error) {
	given := a.given()
	for _, arg := range recorded {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		now, changed := given[name]
		switch {
		case a.set.Lookup(name) == nil:
			remarks = append(remarks, fmt.Sprintf("the checkpoint records %s, which is no flag of the job any more: left out", quote(arg)))
		case changed && now != value:
			remarks = append(remarks, fmt.Sprintf("--%s is %s now; the checkpoint records %s", name, quote(now), quote(value)))
		case !changed:
			if err := a.set.Set(name, value); err != nil {
				return nil, fmt.Errorf("recorded argument %s: %v: %w", quote(arg), err, meta.ErrIncompatible)
			}
		}
		delete(given, name)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		remarks = append(remarks, fmt.Sprintf("--%s is %s now; the checkpoint does not record it", name, quote(given[name])))
	}
	return remarks, nil
}
