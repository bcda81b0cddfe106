package app

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runFlagError answers a mistake in the flags before JOB. A flag of the job there gets the corrected command.
func (p *program) runFlagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("%s run --help", p.name)
	missing, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usage(err, hint)
	}
	name := missing.GetSpecifiedName()
	if line, job := p.rearranged(cmd); line != "" {
		return usage(fmt.Errorf("flag %s belongs to job %s, so it goes after it", dashed(name), job), line)
	}
	if near := nearest(name, runFlagNames(cmd)); near != "" {
		return usage(fmt.Errorf("run has no flag %s; did you mean --%s?", dashed(name), near), hint)
	}
	return usage(fmt.Errorf("run has no flag %s", dashed(name)), hint)
}

// jobFlagError does the same for the flags after JOB.
func (p *program) jobFlagError(job Job, err error, help string) error {
	_, name, ok := strings.Cut(err.Error(), "flag provided but not defined: -")
	if !ok {
		return usage(fmt.Errorf("job %s: %w", job.Name, err), help)
	}
	cmd := p.runCommand()
	if slices.Contains(p.args[:max(0, slices.Index(p.args, job.Name))], "explain") {
		cmd = p.explainCommand()
	}
	if line, _ := p.rearranged(cmd); line != "" {
		return usage(fmt.Errorf("flag %s belongs to %s, so it goes before %s", dashed(name), cmd.Name(), job.Name), line)
	}
	var names []string
	newJobFlags(job).set.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	if near := nearest(name, names); near != "" {
		return usage(fmt.Errorf("job %s has no flag %s; did you mean --%s?", job.Name, dashed(name), near), help)
	}
	return usage(fmt.Errorf("job %s has no flag %s", job.Name, dashed(name)), help)
}

func runFlagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// rearranged is the command line with every flag on the side of JOB that it belongs to; empty if that cannot be told.
func (p *program) rearranged(cmd *cobra.Command) (line, job string) {
	at := slices.Index(p.args, cmd.Name()) + 1
	args := p.args[at:]
	where := slices.IndexFunc(args, func(a string) bool { return slices.Contains(p.jobNames(), a) })
	if where < 0 {
		return "", ""
	}
	job = args[where]
	i := slices.IndexFunc(p.jobs, func(j Job) bool { return j.Name == job })
	own := newJobFlags(p.jobs[i]).set

	var before, after []string
	for i := 0; i < len(args); {
		if i == where {
			i++
			continue
		}
		n, ofCmd := flagWidth(args[i:], cmd.Flags())
		m, ofJob := jobFlagWidth(args[i:], own)
		switch {
		case ofCmd && (i < where || !ofJob):
			before = append(before, args[i:i+n]...)
			i += n
		case ofJob:
			after = append(after, args[i:i+m]...)
			i += m
		default:
			return "", ""
		}
	}
	words := slices.Concat(before, []string{job}, after)
	if slices.Equal(words, args) {
		return "", ""
	}
	return fmt.Sprintf("%s %s %s", p.name, cmd.Name(), quoteAll(words)), job
}

// flagWidth is the number of words that a flag of the command takes: itself, and its value if that is apart.
func flagWidth(args []string, set *pflag.FlagSet) (int, bool) {
	name, inline, ok := flagName(args[0])
	if !ok {
		return 0, false
	}
	f := set.Lookup(name)
	if f == nil && !strings.HasPrefix(args[0], "--") { // -s, -Dkey=value
		f = set.ShorthandLookup(name[:1])
		inline = inline || len(name) > 1
	}
	if f == nil {
		return 0, false
	}
	return width(args, inline || f.NoOptDefVal != ""), true
}

func jobFlagWidth(args []string, set *flag.FlagSet) (int, bool) {
	name, inline, ok := flagName(args[0])
	if !ok {
		return 0, false
	}
	f := set.Lookup(name)
	if f == nil {
		return 0, false
	}
	b, isBool := f.Value.(interface{ IsBoolFlag() bool })
	return width(args, inline || isBool && b.IsBoolFlag()), true
}

func width(args []string, alone bool) int {
	if alone {
		return 1
	}
	return min(2, len(args))
}

func flagName(arg string) (name string, inline, ok bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	if name == arg || name == "" {
		return "", false, false
	}
	name, _, inline = strings.Cut(name, "=")
	return name, inline, name != ""
}
