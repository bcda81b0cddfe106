package app

import (
	"errors"
	"flag"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/engine"
)

func (p *program) explainCommand() *cobra.Command {
	var f runFlags
	var mermaid bool
	cmd := &cobra.Command{
		Use:               "explain [flags] JOB [job flags]",
		Short:             "Show a job's operators, their state, and the tasks that they run in",
		ValidArgsFunction: p.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := p.explain(f, args)
			switch {
			case err != nil:
				return err
			case mermaid:
				fmt.Fprint(p.stdout, x.Mermaid())
			default:
				fmt.Fprint(p.stdout, x)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&mermaid, "mermaid", false, "as a flowchart in the language of Mermaid")
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "read settings from `FILE` instead of pagetide.yaml")
	cmd.Flags().StringArrayVarP(&f.defines, "define", "D", nil, "set `KEY=VALUE`, over any file; 'help settings' lists them")
	cmd.Flags().SetInterspersed(false) // what follows JOB is the job's
	complete(cmd, "define", completeSetting)
	return cmd
}

// explain builds the graph as run does, and runs nothing.
func (p *program) explain(f runFlags, args []string) (x engine.Explanation, err error) {
	if len(args) == 0 {
		return x, usage(fmt.Errorf("explain needs a job:\n%s", p.jobTable()), p.name+" explain --help")
	}
	s := &session{p: p, flags: f}
	if s.job, err = p.findJob(args); err != nil {
		return x, err
	}
	a, err := s.parseJobFlags(args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return x, usage(errors.New("the flags of a job are explained by run"), fmt.Sprintf("%s run %s --help", p.name, s.job.Name))
	}
	if err != nil {
		return x, err
	}
	if s.config, err = loadConfig(f, s.job); err != nil {
		return x, err
	}
	job := engine.NewJob(s.config.name)
	a.set.SetOutput(p.stderr)
	if err := a.build(job); err != nil {
		return x, s.buildProblem(err)
	}
	if x, err = job.Explain(s.config.options); err != nil {
		return x, s.refused(err)
	}
	return x, nil
}
