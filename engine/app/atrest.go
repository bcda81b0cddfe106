package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// stateFlags choose one state of a checkpoint at rest.
type stateFlags struct {
	restFlags
	uid, state string
}

func (f *stateFlags) declare(p *program, cmd *cobra.Command) {
	f.restFlags.declareWhere(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&f.uid, "uid", "u", "", "the operator's `UID`; of need if there are several")
	fs.StringVarP(&f.state, "state", "S", "", "the state's `NAME`; of need if there are several")
	complete(cmd, "uid", p.completeUID)
	complete(cmd, "state", p.completeState)
}

// open opens the checkpoint and finds the state in it. The caller closes the checkpoint.
func (f *stateFlags) open(p *program, path string) (*snapshotter.Checkpoint, *mmapstate.StateView, error) {
	cp, err := f.restFlags.open(path)
	if err != nil {
		return nil, nil, err
	}
	s, err := f.find(p, cp)
	if err != nil {
		cp.Close() // read only
		return nil, nil, err
	}
	return cp, s, nil
}

func (f *stateFlags) find(p *program, cp *snapshotter.Checkpoint) (*mmapstate.StateView, error) {
	o, err := f.operator(cp)
	if err != nil {
		return nil, err
	}
	v, err := mmapstate.OpenView(cp, o.No, p.decoders()...)
	if err != nil {
		return nil, atRest(fmt.Errorf("operator %q of %s: %w", f.uid, cp.Path, err))
	}
	var names []string
	for _, s := range v.States() {
		names = append(names, s.Name)
	}
	if f.state == "" && len(names) == 1 {
		f.state = names[0]
	}
	if s := v.State(f.state); s != nil {
		return s, nil
	}
	return nil, among("state", "--state", f.state, names)
}

// operator finds the operator, which need not be named if it is the only one.
func (f *stateFlags) operator(cp *snapshotter.Checkpoint) (meta.Operator, error) {
	uids := uidsOf(cp.Meta)
	if f.uid == "" && len(uids) == 1 {
		f.uid = uids[0]
	}
	for _, o := range cp.Meta.Operators {
		if o.UID == f.uid {
			return o, nil
		}
	}
	if len(uids) == 0 {
		return meta.Operator{}, usage(fmt.Errorf("%s has no operator with state", cp.Path), "")
	}
	return meta.Operator{}, among("operator", "--uid", f.uid, uids)
}

func uidsOf(m *meta.Metadata) (uids []string) {
	for _, o := range m.Operators {
		uids = append(uids, o.UID)
	}
	return uids
}

// among says that a name was not given, or is none of those that exist.
func among(what, flag, name string, all []string) *problem {
	if name == "" {
		return usage(fmt.Errorf("which %s? (%ss: %s)", what, what, strings.Join(all, ", ")), flag+" NAME chooses one")
	}
	return unknown(what, name, all, "")
}

// decoders show values of the jobs' own codecs.
func (p *program) decoders() (all []engine.Decoder) {
	for _, j := range p.jobs {
		all = append(all, j.Decoders...)
	}
	return all
}

// interruptible makes a context that a signal ends, for work that has nothing to finish.
func (p *program) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-p.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// barBeside shows progress beside what goes to w, unless both would be on one terminal.
func (p *program) barBeside(w io.Writer) *bar {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	return newBar(p)
}

// completeUID offers the operators of the checkpoint that was typed.
func (p *program) completeUID(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	cp := typedCheckpoint(args)
	if cp == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer cp.Close() // read only
	return uidsOf(cp.Meta), cobra.ShellCompDirectiveNoFileComp
}

// completeState offers the states of the operator that was typed, or of all.
func (p *program) completeState(cmd *cobra.Command, args []string, _ string) (found []string, _ cobra.ShellCompDirective) {
	cp := typedCheckpoint(args)
	if cp == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer cp.Close() // read only
	uid := cmd.Flag("uid").Value.String()
	for _, o := range cp.Meta.Operators {
		if v, err := mmapstate.OpenView(cp, o.No); err == nil && (uid == "" || uid == o.UID) {
			for _, s := range v.States() {
				found = append(found, fmt.Sprintf("%s\t%s of %s", s.Name, s.Kind, o.UID))
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// typedCheckpoint opens the checkpoint on the command line; nil if there is none: the shell is no place for errors.
func typedCheckpoint(args []string) *snapshotter.Checkpoint {
	if len(args) == 0 {
		return nil
	}
	cp, err := (&restFlags{}).open(args[0])
	if err != nil {
		return nil
	}
	return cp
}
