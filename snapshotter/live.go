package snapshotter

import (
	"errors"
	"iter"
	"path/filepath"

	"github.com/pagetide/pagetide/meta"
)

// A store that evicts reads back from the newest checkpoint, so each commit that such a store takes part in is opened at
// once. Files stay open from one checkpoint to the next, with what was read of their indexes: only the new delta file
// costs anything. Every store has a Checkpoint of its own to close; until then Retire keeps what it names.

// wantsLoader tells whether a store asks for the checkpoint that its cut becomes part of.
func wantsLoader(c meta.Cut) bool {
	w, ok := c.(meta.LoaderWanter)
	return ok && w.WantsLoader()
}

// openLive opens the checkpoint that was just committed. Without it a store cannot evict, and asks again the next time.
func (d *Dir) openLive(m *meta.Metadata) error {
	shared := d.shareLive()
	defer func() {
		for _, f := range shared {
			f.Close() // what the new checkpoint does not name
		}
	}()
	c := newCheckpoint(d.fs, d.metaPath(m.ID), m)
	for _, ref := range m.Files {
		f := shared[ref.Name]
		if f != nil && f.ref == ref {
			delete(shared, ref.Name)
		} else {
			var err error
			if f, err = c.openData(d.places(c.Path), ref); err != nil {
				return errors.Join(err, c.Close())
			}
		}
		c.files = append(c.files, f)
	}
	d.mu.Lock()
	old := d.live
	d.live = c
	d.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// shareLive gives the open files of the live checkpoint by name, one reference each.
func (d *Dir) shareLive() map[string]*dataFile {
	d.mu.Lock()
	defer d.mu.Unlock()
	shared := map[string]*dataFile{}
	if d.live != nil {
		for _, f := range d.live.files {
			shared[f.ref.Name] = f.share()
		}
	}
	return shared
}

// reader gives one store the live checkpoint, nil if that is not checkpoint id.
func (d *Dir) reader(id meta.CheckpointID) meta.Loader {
	release := d.Pin(id)
	d.mu.Lock()
	if d.closed || d.live == nil || d.live.Meta.ID != id {
		d.mu.Unlock()
		release()
		return nil
	}
	defer d.mu.Unlock()
	c := &Checkpoint{Meta: d.live.Meta, Notes: d.live.Notes, Path: d.live.Path, fs: d.fs, shards: d.live.shards, blocks: d.live.blocks}
	for _, f := range d.live.files {
		c.files = append(c.files, f.share())
	}
	d.keepOpen(c, release)
	return c
}

// places are where the data files of the directory's own checkpoints may lie.
func (d *Dir) places(file string) []string {
	return []string{filepath.Dir(file), filepath.Dir(filepath.Dir(file)), d.o.DataDir}
}

// share adds a reference; each is given up by Close.
func (f *dataFile) share() *dataFile {
	f.shares.Add(1)
	return f
}

// Close closes the file when the last reference goes.
func (f *dataFile) Close() error {
	if f.shares.Add(-1) >= 0 {
		return nil
	}
	return f.file.Close()
}

var _ meta.Ordered = (*Checkpoint)(nil)

// Order implements [meta.Ordered]: newest file first. It ends early at an index that cannot be read, which is for Load to
// report.
func (c *Checkpoint) Order(op meta.OperatorNo) iter.Seq2[meta.ShardID, meta.PageNo] {
	return func(yield func(meta.ShardID, meta.PageNo) bool) {
		for i := len(c.files) - 1; i >= 0; i-- {
			for _, e := range c.files[i].root.entries {
				if e.shard.Operator() != op {
					continue
				}
				x, err := c.files[i].index(e.shard)
				if err != nil || !x.groups(func(p meta.PageNo) bool { return yield(e.shard, p) }) {
					return
				}
			}
		}
	}
}

// groups calls f with the first page that the index has of every group.
func (x *index) groups(f func(meta.PageNo) bool) bool {
	last := int64(-1)
	for it := x.pages.Iterator(); it.HasNext(); {
		p := it.Next()
		if g := int64(p / meta.GroupPages); g != last {
			if last = g; !f(meta.PageNo(p)) {
				return false
			}
		}
	}
	return true
}
