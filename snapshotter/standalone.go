package snapshotter

import (
	"context"
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// Freezer is a store that can be saved: mmapstate's Store.
type Freezer interface {
	Freeze() (meta.Cut, error)
}

// Write makes a checkpoint of one cut, for programs that use a store without the engine, and retires older ones. It is
// the cut's one writer; the owner must go on gathering, or call the cut's Wait, which returns how it ended. The notes
// come back as [Checkpoint].Notes.
func (d *Dir) Write(ctx context.Context, cut meta.Cut, notes map[string]string) error {
	p, err := d.Begin()
	if err != nil {
		cut.Done(meta.Verdict{Err: aborted(err)})
		return err
	}
	p.Add(cut)
	if _, err := p.Publish(ctx, &meta.Metadata{Notes: notes}); err != nil {
		return err
	}
	if _, err := d.Retire(ctx); err != nil {
		return fmt.Errorf("checkpoint %d is committed, older ones are kept: %w", p.ID(), err)
	}
	return nil
}

// Save freezes the store, gathers all of it and writes a checkpoint. It must be called by the store's owner.
func (d *Dir) Save(ctx context.Context, store Freezer, notes map[string]string) error {
	cut, err := store.Freeze()
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- d.Write(ctx, cut, notes) }()
	err = cut.Wait(ctx)
	if writeErr := <-written; writeErr != nil || ctx.Err() != nil {
		return writeErr // the cause, which the cut's error only repeats; nil if the commit came before ctx ended
	}
	return err
}
