package app

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// complete attaches a completion to a flag that was declared just before, so it cannot fail.
func complete(cmd *cobra.Command, name string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(name, f); err != nil {
		panic(err)
	}
}

// completeJob offers the jobs, and after one its flags.
func (p *program) completeJob(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		var found []string
		for _, j := range p.jobs {
			found = append(found, j.Name+"\t"+j.About)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, j := range p.jobs {
		if j.Name == args[0] && strings.HasPrefix(typed, "-") {
			newJobFlags(j).set.VisitAll(func(f *flag.Flag) {
				_, meaning := flag.UnquoteUsage(f)
				found = append(found, "--"+f.Name+"\t"+meaning)
			})
			return found, cobra.ShellCompDirectiveNoFileComp
		}
	}
	return nil, cobra.ShellCompDirectiveDefault // a file name, for all we know
}

// completeCheckpoint offers what lies in the state directory, then any file.
func (p *program) completeCheckpoint(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	found := []string{}
	if cmd.Name() == "run" {
		found = append(found, engine.Latest+"\tthe job's newest checkpoint")
	}
	for _, path := range checkpointPaths() {
		if strings.HasPrefix(path, strings.TrimPrefix(typed, "./")) || strings.HasPrefix(path, typed) {
			found = append(found, path)
		}
	}
	return found, cobra.ShellCompDirectiveDefault
}

func checkpointPaths() []string {
	c, err := loadConfig(runFlags{}, Job{Name: "any"})
	if err != nil {
		return nil // the shell is no place for errors
	}
	paths, _ := filepath.Glob(filepath.Join(c.dir, "*", "chk-*", meta.FileName)) // fails for a bad pattern only
	return paths
}

func completeSetting(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var found []string
	for _, s := range engine.Settings() {
		found = append(found, fmt.Sprintf("%s=\t%s", s.Name, s.Meaning))
	}
	return found, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
