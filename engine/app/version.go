package app

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pagetide/pagetide/meta"
)

const modulePath = "github.com/pagetide/pagetide"

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the formats that this release reads",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(p.stdout, "pagetide %s\n%s %s/%s\nmetadata format %d\n",
				moduleVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, meta.Version)
			return nil
		},
	}
}

// moduleVersion finds Pagetide in the build, as the program itself or as a module that it uses.
func moduleVersion() string {
	const unknown = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && m.Version != "" {
			return m.Version
		}
	}
	return unknown
}
