package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Pending is a checkpoint under way: cuts are added, drained into one delta file, and published together or not at all.
// Exactly one of Publish and Abort settles it; every cut then has its verdict. Its methods may be called concurrently,
// Add only before Publish.
type Pending struct {
	d       *Dir
	id      meta.CheckpointID
	attempt meta.Attempt
	started time.Time
	ctx     context.Context // ends when the checkpoint fails: it stops the drains
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when nothing more will be written or removed
	drains  sync.WaitGroup

	work    sync.Mutex // Publish's writing, and the cleaning up after it; guards the fields below
	folder  bool       // chk-<id> was made
	cleaned bool
	base    meta.CheckpointID // whose chain it goes on with
	whole   bool              // it starts a new chain
	fresh   int64             // bytes of the delta file that were not carried
	fold    folding           // of its chain

	pack   sync.Mutex // guards packer while drains run
	packer packer

	mu    sync.Mutex // guards the fields below
	cuts  []meta.Cut
	err   error // the first failure
	phase phase
}

// phase only grows.
type phase int

const (
	phaseOpen       phase = 0
	phasePublishing phase = 1 // steps 6 and 7: it can no longer be given up
	phaseSettled    phase = 2 // the verdicts are out
)

// Begin starts the next checkpoint. It fails only when the directory is closed.
func (d *Dir) Begin() (*Pending, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("%s: %w", d.path, errClosed)
	}
	p := &Pending{d: d, id: d.next, attempt: d.attempt, started: d.o.now(), done: make(chan struct{})}
	d.next++
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.packer.header = dataHeader{job: d.job, attempt: p.attempt, checkpoint: p.id}
	p.packer.create = p.create
	d.active[p] = true
	return p, nil
}

// ID is the number of the checkpoint.
func (p *Pending) ID() meta.CheckpointID { return p.id }

// Attempt is the attempt that the checkpoint was begun in.
func (p *Pending) Attempt() meta.Attempt { return p.attempt }

func (p *Pending) dataName() string {
	h := p.packer.header
	return dataName(h.job, h.attempt, h.checkpoint)
}

// Add takes a cut over as its one writer and begins to drain it. Errors are Publish's: a cut whose base is neither
// nothing nor the newest committed checkpoint fails it with meta.ErrIncompatible.
func (p *Pending) Add(cut meta.Cut) {
	p.mu.Lock()
	settled := p.phase == phaseSettled
	if !settled {
		p.cuts = append(p.cuts, cut)
		p.drains.Add(1)
	}
	err := p.err
	p.mu.Unlock()
	if settled {
		cut.Done(meta.Verdict{Err: aborted(err)})
		return
	}
	go func() {
		defer p.drains.Done()
		if err := p.drain(cut); err != nil {
			p.fail(fmt.Errorf("operator %d: %w", cut.Operator(), err))
		}
	}()
}

func (p *Pending) drain(cut meta.Cut) error {
	if base := cut.Base(); base != (meta.Base{}) {
		if _, err := p.d.chain(base); err != nil {
			return err
		}
	}
	for {
		c, err := cut.Next(p.ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.pack.Lock()
		err = p.packer.add(c, cut.Operator())
		p.pack.Unlock()
		cut.Release(c)
		if err != nil {
			return err
		}
	}
}

// chain returns the checkpoint whose data files a cut builds on.
func (d *Dir) chain(base meta.Base) (*meta.Metadata, error) {
	m, err := d.head()
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return nil, err
	}
	if m == nil || base != (meta.Base{Job: m.Job, Checkpoint: m.ID}) {
		return nil, fmt.Errorf("state builds on checkpoint %d of job %s, which is not the newest of %s: %w",
			base.Checkpoint, base.Job, d.path, meta.ErrIncompatible)
	}
	return m, nil
}

// fail records the first failure and stops the drains.
func (p *Pending) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cancel(err)
}

func (p *Pending) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Abort gives the checkpoint up: every cut gets a verdict that wraps err and meta.ErrAborted, at once, and then what was
// written is removed. It does nothing once the checkpoint is being published or settled. It returns when the files are
// gone, which a hung disk may delay; a crash may bring them back, for the next Retire or SweepOrphans to delete.
func (p *Pending) Abort(err error) {
	if p.giveUp(err) {
		p.clean()
	}
}

// giveUp settles an open checkpoint with an error.
func (p *Pending) giveUp(err error) bool {
	if err == nil {
		err = meta.ErrAborted
	}
	p.fail(err)
	return p.settle(phaseOpen, meta.Verdict{Err: aborted(p.failure())})
}

func aborted(err error) error {
	if errors.Is(err, meta.ErrAborted) {
		return err
	}
	return fmt.Errorf("%w: %w", meta.ErrAborted, err)
}

// settle gives the verdict to every cut, if the checkpoint is still in the phase given.
func (p *Pending) settle(from phase, v meta.Verdict) bool {
	p.mu.Lock()
	if p.phase != from {
		p.mu.Unlock()
		return false
	}
	p.phase = phaseSettled
	cuts := p.cuts
	p.mu.Unlock()
	for _, c := range cuts {
		v.Loader = nil
		if v.Err == nil && wantsLoader(c) {
			v.Loader = p.d.reader(v.Base.Checkpoint)
		}
		c.Done(v)
	}
	return true
}

// clean waits for the drains and removes an abandoned checkpoint's files, as far as storage lets it.
func (p *Pending) clean() {
	p.drains.Wait()
	p.work.Lock()
	defer p.work.Unlock()
	if p.cleaned {
		return
	}
	p.cleaned = true
	if p.packer.file != nil && p.d.o.Embed == 0 {
		p.packer.file.Close()
		p.d.fs.Remove(p.d.dataPath(p.dataName()))
	}
	if p.folder {
		p.d.fs.Remove(filepath.Join(p.d.chkPath(p.id), metaTemp))
		p.d.fs.Remove(p.d.chkPath(p.id))
	}
	p.forget()
}

// forget ends the directory's interest in the checkpoint.
func (p *Pending) forget() {
	p.cancel(nil)
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.d.active[p] {
		delete(p.d.active, p)
		close(p.done)
	}
}
