package main

import (
	"testing"
	"time"

	"context"
	"errors"
	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

func TestServeRunsToTheEnd(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // a finished job leaves nothing in the way of the next one
		if err := serve(t.Context(), dir, "localhost:0", Click{"ann", time.Now()}, Click{"ann", time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServeRefusesASecondOwner(t *testing.T) {
	dir := t.TempDir()
	job := engine.NewJob("clicks")
	block := make(chan struct{})
	graph(job, engine.SliceSource(Click{"ann", time.Now()}), engine.SinkFunc(func(ctx context.Context, _ []Count) error {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return nil
	}))
	running, err := job.Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	if err := serve(t.Context(), dir, "localhost:0"); !errors.Is(err, meta.ErrLocked) {
		t.Errorf("second owner: %v, want %v", err, meta.ErrLocked)
	}
	close(block)
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
}
