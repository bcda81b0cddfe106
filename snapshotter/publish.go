package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Info describes a committed checkpoint.
type Info struct {
	ID      meta.CheckpointID
	Attempt meta.Attempt
	Path    string        // of its _metadata
	Took    time.Duration // from Begin to the commit point
	Written int64         // bytes of its own delta file; 0 if nothing had changed
	Pages   int64         // page records in it
	Lines   int64         // lines in it
	Stored  int64         // bytes of all files that it names
	Files   int           // how many those are
	Live    int64         // bytes of the pages that exist
	Whole   bool          // it starts a new chain
	Fresh   int64         // bytes of its delta file that hold what was written, not what was carried to clean the chain
	Asked   string        // why the next checkpoint is asked to be whole; empty if it is not
}

// Publish waits until every cut is drained and commits the checkpoint. The caller describes the job, its sources, sinks
// and operators in m, which belongs to Publish from now on; ids, files, hash, states and shards are filled in from the
// cuts, and an operator that m does not know is added.
//
// A nil error means that the checkpoint is durable. An error that wraps [ErrUnknownOutcome] means that it may be; any
// other, that it is not and never will be. meta.ErrRevoked says that a later attempt has begun. When ctx ends, the cuts
// get their verdict at once, even while storage hangs.
func (p *Pending) Publish(ctx context.Context, m *meta.Metadata) (Info, error) {
	if ctx.Err() != nil {
		p.giveUp(context.Cause(ctx)) // now: not while it is being written
	}
	stop := context.AfterFunc(ctx, func() { p.giveUp(context.Cause(ctx)) })
	defer stop()
	info, err := p.write(m)
	switch {
	case err == nil:
		p.forget()
		return info, nil
	case errors.Is(err, ErrUnknownOutcome):
		p.settle(phasePublishing, meta.Verdict{Err: aborted(err)})
		p.forget()
	default:
		p.giveUp(err)
		p.clean()
	}
	return Info{}, fmt.Errorf("checkpoint %d: %w", p.id, err)
}

func (p *Pending) write(m *meta.Metadata) (Info, error) {
	p.drains.Wait()
	p.work.Lock()
	defer p.work.Unlock()
	if err := errors.Join(p.failure(), p.d.held()); err != nil {
		return Info{}, err
	}
	whole, err := p.describe(m)
	if err != nil {
		return Info{}, err
	}
	p.whole = whole
	if err := p.writeData(m); err != nil {
		return Info{}, err
	}
	if err := p.writeMeta(m); err != nil {
		return Info{}, err
	}
	if err := p.d.commit(m, p.claim); err != nil { // steps 6 and 7
		return Info{}, err
	}
	p.d.remember(p)
	info := p.info(m)
	verdict := p.d.wishes(m, &info)
	p.mu.Lock()
	cuts := p.cuts
	p.mu.Unlock()
	if slices.ContainsFunc(cuts, wantsLoader) {
		_ = p.d.openLive(m) // without it the checkpoint is committed all the same
	}
	p.settle(phasePublishing, verdict)
	return info, nil
}

// describe fills in what the directory and the cuts know. whole says that the delta alone holds every page.
func (p *Pending) describe(m *meta.Metadata) (whole bool, err error) {
	m.Job, m.ID, m.Attempt = p.packer.header.job, p.id, p.attempt
	if m.Name == "" {
		m.Name = p.d.o.Name
	}
	if m.Created == 0 {
		m.Created = p.d.o.now().UnixNano()
	}
	p.mu.Lock()
	cuts := p.cuts
	p.mu.Unlock()
	if err := describe(m, cuts); err != nil {
		return false, err
	}
	m.Files, m.Sweep, m.Owed = nil, p.d.hand(), 0
	if wholeCuts(m, cuts) {
		return true, nil
	}
	base := meta.Base{}
	for _, c := range cuts {
		if c.Base() != (meta.Base{}) {
			base = c.Base()
		}
	}
	if base == (meta.Base{}) {
		head, err := p.d.head()
		if err != nil {
			return false, err // pages that no cut brings, and no chain to have them
		}
		base = meta.Base{Job: head.Job, Checkpoint: head.ID}
	}
	head, err := p.d.chain(base)
	if err != nil {
		return false, err
	}
	p.base = head.ID
	m.Files, m.Sweep, m.Owed = head.Files, head.Sweep, head.Owed
	return false, p.d.mayFollow(m.Files)
}

func (p *Pending) writeData(m *meta.Metadata) error {
	// step 1: write the delta
	file, ok, err := p.packer.finish()
	if err != nil || !ok {
		return err
	}
	if p.d.o.Embed > 0 {
		return p.embed(m, file)
	}
	// step 2: its content becomes durable
	if err := p.packer.file.Sync(); err != nil { // guard: sync-data
		return err
	}
	if err := p.packer.file.Close(); err != nil {
		return err
	}
	// step 3: its name becomes durable
	if err := p.d.fs.SyncDir(p.d.o.DataDir); err != nil { // guard: sync-data-dir
		return err
	}
	file.Name, file.Checkpoint = p.dataName(), p.id
	p.tidy(m, file)
	return p.failure()
}

func (p *Pending) writeMeta(m *meta.Metadata) error {
	p.folder = true
	return p.d.writeMeta(m)
}

func (d *Dir) writeMeta(m *meta.Metadata) error {
	b := m.Encode()
	temp := filepath.Join(d.chkPath(m.ID), metaTemp)
	if _, err := meta.Decode(temp, b); err != nil { // what cannot be read back must not be published
		return fmt.Errorf("metadata is refused: %w: %w", meta.ErrIncompatible, err)
	}
	// step 4: the checkpoint's folder exists durably
	if err := d.fs.Mkdir(d.chkPath(m.ID)); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.path); err != nil { // guard: sync-folder
		return err
	}
	// step 5: the metadata is durable under a name that nobody reads
	return writeFile(d.fs, temp, b)
}

// commit is steps 6 and 7. claim is asked, with the right to publish held, whether the checkpoint still may.
func (d *Dir) commit(m *meta.Metadata, claim func() error) error {
	d.publish.Lock()
	defer d.publish.Unlock()
	if err := d.held(); err != nil {
		return err
	}
	if err := claim(); err != nil {
		return err
	}
	names := namesOf(m)
	d.mu.Lock()
	d.unknown[m.ID] = names
	d.mu.Unlock()
	// step 6: the metadata appears under its name
	folder := d.chkPath(m.ID)
	if err := d.fs.Rename(filepath.Join(folder, metaTemp), d.metaPath(m.ID)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	// step 7: THE COMMIT POINT. When this returns, the checkpoint exists for ever; before, it may not.
	if err := d.fs.SyncDir(folder); err != nil { // guard: sync-commit
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = withoutPages(m)
	d.named[m.ID] = names
	delete(d.unknown, m.ID)
	return nil
}

// claim moves the checkpoint to its last phase, if it still may be published.
func (p *Pending) claim() error {
	if err := p.d.mayPublish(p.id, p.attempt); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil || p.phase != phaseOpen {
		return aborted(p.err)
	}
	p.phase = phasePublishing
	return nil
}

func (d *Dir) mayPublish(id meta.CheckpointID, a meta.Attempt) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return fmt.Errorf("%s: %w", d.path, errClosed)
	case a != d.attempt:
		return fmt.Errorf("attempt %d publishes, %d is current: %w", a, d.attempt, meta.ErrRevoked)
	case d.current != nil && d.current.ID >= id:
		return fmt.Errorf("checkpoint %d has committed already: %w", d.current.ID, meta.ErrIncompatible)
	}
	return nil
}

func namesOf(m *meta.Metadata) map[string]bool {
	names := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		if !f.Embedded() {
			names[f.Name] = true
		}
	}
	return names
}

func (p *Pending) info(m *meta.Metadata) Info {
	s := sizesOf(m)
	return Info{
		ID: m.ID, Attempt: m.Attempt, Path: p.d.metaPath(m.ID), Took: p.d.o.now().Sub(p.started),
		Written: p.packer.size, Pages: p.packer.records, Lines: p.packer.lines,
		Stored: s.Stored, Files: s.Files, Live: s.Live, Whole: p.whole, Fresh: p.fresh,
	}
}
