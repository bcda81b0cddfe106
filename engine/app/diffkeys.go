package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// keyDiff compares the entries of two checkpoints.
type keyDiff struct {
	p      *program
	ctx    context.Context
	json   bool
	out    *bufio.Writer
	line   []byte
	states []stateDiff
}

// stateDiff counts the entries of one state that have changed.
type stateDiff struct {
	uid, state              string
	added, removed, changed int64
	why                     string // it cannot be compared
}

// compare goes through the states of both, in the order of the first.
func (d *keyDiff) compare(both [2]*snapshotter.Checkpoint, operators []operatorDiff) error {
	d.out = bufio.NewWriterSize(d.p.stdout, 1<<16)
	if !d.json {
		d.out.WriteString("\n") // errors are kept until Flush
	}
	for _, o := range operators {
		before, after, err := d.views(both, o.UID)
		if err != nil {
			return err
		}
		skip := func(g meta.KeyGroup) bool { return o.same[g] }
		for _, name := range stateNames(before, after) {
			if err := d.state(o.UID, before.State(name), after.State(name), name, skip); err != nil {
				return errors.Join(err, d.out.Flush())
			}
		}
	}
	return notShown(d.out.Flush())
}

// views opens an operator in both checkpoints. One that has it not, has a view without states.
func (d *keyDiff) views(both [2]*snapshotter.Checkpoint, uid string) (before, after *mmapstate.View, err error) {
	views := [2]*mmapstate.View{{}, {}}
	for i, cp := range both {
		for _, o := range cp.Meta.Operators {
			if o.UID != uid {
				continue
			}
			if views[i], err = mmapstate.OpenView(cp, o.No, d.p.decoders()...); err != nil {
				return nil, nil, atRest(err)
			}
		}
	}
	return views[0], views[1], nil
}

func stateNames(before, after *mmapstate.View) (names []string) {
	for _, s := range before.States() {
		names = append(names, s.Name)
	}
	for _, s := range after.States() {
		if before.State(s.Name) == nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// state tells the changes of one state. One that cannot be compared is said to be so at the end.
func (d *keyDiff) state(uid string, before, after *mmapstate.StateView, name string, skip func(meta.KeyGroup) bool) error {
	count := stateDiff{uid: uid, state: name}
	bar := d.p.barBeside(d.p.stdout)
	progress := func(done, total int64) { bar.show(done*meta.PageSize, total*meta.PageSize) }
	for c, err := range mmapstate.Changes(d.ctx, before, after, skip, progress) {
		if errors.Is(err, meta.ErrIncompatible) {
			count.why = err.Error()
			d.refuse(count)
			break
		}
		if err != nil {
			bar.clear()
			return atRest(err)
		}
		d.tell(&count, c)
	}
	bar.clear()
	d.states = append(d.states, count)
	return nil
}

// refuse says in JSON that a state is not compared; without, report does.
func (d *keyDiff) refuse(s stateDiff) {
	if d.json {
		fmt.Fprintf(d.out, `{"uid":%s,"state":%s,"not_compared":%s}`+"\n", jsonText(s.uid), jsonText(s.state), jsonText(s.why))
	}
}

// tell shows one change.
func (d *keyDiff) tell(count *stateDiff, c mmapstate.Change) {
	sign, word := "~", "changed"
	switch {
	case c.Before == nil:
		sign, word = "+", "added"
		count.added++
	case c.After == nil:
		sign, word = "-", "removed"
		count.removed++
	default:
		count.changed++
	}
	if d.json {
		d.line = fmt.Appendf(d.line[:0], `{"uid":%s,"state":%s,"change":%q`, jsonText(count.uid), jsonText(count.state), word)
		d.line = appendSide(d.line, `,"before":`, c.Before)
		d.line = append(appendSide(d.line, `,"after":`, c.After), "}\n"...)
	} else {
		d.line = fmt.Appendf(d.line[:0], "%s %s %s", sign, count.uid, count.state)
		d.line = appendSide(d.line, " ", c.Before)
		if c.Before != nil && c.After != nil {
			d.line = append(d.line, " ->"...)
		}
		d.line = append(appendSide(d.line, " ", c.After), '\n')
	}
	d.out.Write(d.line) // errors are kept until Flush
}

func jsonText(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a string
	}
	return b
}

func appendSide(line []byte, lead string, e *mmapstate.Entry) []byte {
	if e == nil {
		return line
	}
	return e.Append(append(line, lead...))
}

// report shows the counts.
func (d *keyDiff) report() error {
	if d.json {
		return nil
	}
	var b strings.Builder
	var rows [][]string
	for _, s := range d.states {
		rows = append(rows, []string{s.uid, s.state, grouped(s.added), grouped(s.removed), grouped(s.changed), orDash(s.why)})
	}
	section(&b, "entries", []string{"UID", "STATE", "ADDED", "REMOVED", "CHANGED", "NOT COMPARED"}, rows)
	_, err := d.p.stdout.Write([]byte(b.String()))
	return notShown(err)
}
