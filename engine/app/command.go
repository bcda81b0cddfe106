package app

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/engine"
)

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           baseName(p.name), // completion scripts make function names of it
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: p.name},
		Short:         "Stateful stream processing that resumes from a checkpoint's metadata path",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that an unknown command is answered here
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknown("command", args[0], commandNames(cmd), p.name+" --help")
		},
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.AddCommand(p.runCommand(), p.inspectCommand(), p.explainCommand(), p.verifyCommand(), p.getCommand(), p.exportCommand(), p.diffCommand(),
		p.savepointCommand(), p.discardCommand(), p.gcCommand(), p.versionCommand(), settingsTopic())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if !cmd.HasParent() {
			return usage(err, p.name+" --help")
		}
		return usage(err, p.name+" "+cmd.Name()+" --help")
	})
	return root
}

func baseName(name string) string {
	words := strings.Fields(filepath.Base(strings.Trim(name, "'")))
	if len(words) == 0 {
		return defaultName
	}
	return words[0]
}

func commandNames(root *cobra.Command) []string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func (p *program) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] JOB [job flags]",
		Short: "Run a job, from its beginning or from a checkpoint",
		Long:  "Run a job, from its beginning or from a checkpoint.\n\nJobs:\n" + p.jobTable(),
		Example: strings.NewReplacer("PROGRAM", p.name, "JOB", p.exampleJob()).Replace(
			"  PROGRAM run JOB\n  PROGRAM run --resume JOB\n  PROGRAM run -s ./pagetide-data/JOB/chk-42/_metadata JOB"),
		ValidArgsFunction: p.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.run(cmd, f, args)
		},
	}
	f.declare(cmd)
	cmd.Flags().SetInterspersed(false) // what follows JOB is the job's
	cmd.SetFlagErrorFunc(p.runFlagError)
	complete(cmd, "from", p.completeCheckpoint)
	complete(cmd, "define", completeSetting)
	return cmd
}

func (f *runFlags) declare(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.from, "from", "s", "", "restore `PATH`: a _metadata file, its folder, a job's directory, or latest")
	fs.BoolVar(&f.resume, "resume", false, "continue the newest checkpoint, or start fresh if there is none")
	fs.BoolVar(&f.fresh, "fresh", false, "discard what an earlier run left, and start fresh")
	fs.BoolVar(&f.rewind, "rewind", false, "go back to a checkpoint that is not the newest; output after it comes again")
	fs.BoolVarP(&f.ignoreExtra, "ignore-extra", "n", false, "ignore state that no operator of the job claims")
	fs.StringVar(&f.name, "name", "", "the job's `NAME` on disk (pipeline.name)")
	fs.BoolVar(&f.retain, "retain", false, "keep checkpoints when the job is cancelled")
	fs.StringVarP(&f.file, "config", "c", "", "read settings from `FILE` instead of pagetide.yaml")
	fs.StringArrayVarP(&f.defines, "define", "D", nil, "set `KEY=VALUE`, over any file; 'help settings' lists them")
	fs.BoolVar(&f.json, "json", false, "print events as JSON on stdout")
	fs.CountVarP(&f.verbose, "verbose", "v", "log more; twice for debugging")
}

func (p *program) jobTable() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, j := range p.jobs {
		fmt.Fprintf(w, "  %s\t%s\n", j.Name, j.About)
	}
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

func (p *program) jobNames() []string {
	names := make([]string, len(p.jobs))
	for i, j := range p.jobs {
		names[i] = j.Name
	}
	return names
}

// jobOr is a job of the program by its name, or what to write instead.
func (p *program) jobOr(name, other string) string {
	if slices.Contains(p.jobNames(), name) {
		return name
	}
	return other
}

func (p *program) exampleJob() string {
	if len(p.jobs) == 0 {
		return "JOB"
	}
	return p.jobs[0].Name
}

// settingsTopic is shown by "help settings"; it does nothing.
func settingsTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Settings for pagetide.yaml and -D:\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range engine.Settings() {
		if d, ok := defaultSettings()[s.Name]; ok {
			s.Default = d
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", s.Name, s.Default, s.Meaning)
	}
	w.Flush()
	return &cobra.Command{Use: "settings", Short: "The settings, with their defaults", Long: strings.TrimSpace(b.String())}
}
