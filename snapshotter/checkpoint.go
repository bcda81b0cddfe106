package snapshotter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Checkpoint is an open checkpoint: its metadata, and a [meta.Loader] of its pages. Nothing in it may be changed. Its
// methods may be called concurrently, Close only after the others have returned.
type Checkpoint struct {
	Meta  *meta.Metadata
	Notes map[string]string // Meta.Notes
	Path  string            // of the _metadata file

	whole  bool // what builds on it has to be whole
	fs     vfs.FS
	files  []*dataFile // the chain, oldest first
	shards map[meta.ShardID]meta.Shard
	blocks *blockCache
	once   sync.Once
	closed func() // tells the Dir it came from
}

var _ meta.Loader = (*Checkpoint)(nil)

func newCheckpoint(fsys vfs.FS, file string, m *meta.Metadata) *Checkpoint {
	c := &Checkpoint{Meta: m, Notes: m.Notes, Path: file, fs: fsys, shards: map[meta.ShardID]meta.Shard{}, blocks: newBlockCache()}
	for _, o := range m.Operators {
		for _, s := range o.Shards {
			c.shards[s.ID] = s
		}
	}
	return c
}

// Base implements [meta.Loader].
func (c *Checkpoint) Base() meta.Base { return meta.Base{Job: c.Meta.Job, Checkpoint: c.Meta.ID} }

// Hash implements [meta.Loader].
func (c *Checkpoint) Hash() (name string, seed uint64, keyGroups int) {
	return c.Meta.HashName, c.Meta.HashSeed, int(c.Meta.KeyGroups)
}

// States implements [meta.Loader].
func (c *Checkpoint) States(no meta.OperatorNo) []meta.State { return c.operator(no).States }

// Shards implements [meta.Loader].
func (c *Checkpoint) Shards(no meta.OperatorNo) []meta.Shard { return c.operator(no).Shards }

func (c *Checkpoint) operator(no meta.OperatorNo) meta.Operator {
	for _, o := range c.Meta.Operators {
		if o.No == no {
			return o
		}
	}
	return meta.Operator{}
}

// Load implements [meta.Loader]. It reads the chain from the newest file to the oldest until every line is there; a line
// that no file has is damage.
func (c *Checkpoint) Load(ctx context.Context, shard meta.ShardID, first meta.PageNo, dst []byte) error {
	pages := uint64(len(dst) / meta.PageSize)
	if len(dst)%meta.PageSize != 0 || uint64(first)+pages > uint64(c.shards[shard].Pages) {
		return fmt.Errorf("load %d bytes from page %d of shard %s, which has %d pages: %w",
			len(dst), first, shard, c.shards[shard].Pages, meta.ErrIncompatible)
	}
	c.fetch(ctx, shard, first, int(pages))
	a := assembly{from: c, shard: shard, first: first, dst: dst, have: make([]meta.LineMask, pages)}
	for _, f := range slices.Backward(c.files) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.take(f); err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(a.have, func(m meta.LineMask) bool { return m != meta.AllLines }); i >= 0 {
		return hole(c.Path, shard, first+meta.PageNo(i), a.have[i])
	}
	return nil
}

func hole(file string, s meta.ShardID, p meta.PageNo, have meta.LineMask) error {
	return damaged(file, 0, fmt.Sprintf("hole: the chain lacks %d lines of shard %s page %d", (^have).Lines(), s, p))
}

// checkPages bounds the page counts by the size of the indexes, which is that of real files: nobody need believe a
// number that would take more memory than the chain has pages.
func (c *Checkpoint) checkPages() error {
	for id, s := range c.shards {
		room := int64(0)
		for _, f := range c.files {
			if e, ok := f.root.find(id); ok {
				room += e.length / offsetBytes
			}
		}
		if int64(s.Pages) > room {
			return damaged(c.Path, 0, fmt.Sprintf("hole: shard %s has %d pages, the chain at most %d", id, s.Pages, room))
		}
	}
	return nil
}

// assembly puts pages together, newest lines first.
type assembly struct {
	from  *Checkpoint
	shard meta.ShardID
	first meta.PageNo
	dst   []byte
	have  []meta.LineMask
	wants []want
}

// want is a page that a file has something new of.
type want struct {
	page  int // from first
	block extent
	at    int64
}

// take adds the lines of one file that no newer file had. Blocks are read in the order of the file, each once.
func (a *assembly) take(f *dataFile) error {
	x, err := f.index(a.shard)
	if x == nil || err != nil {
		return err
	}
	a.wants = a.wants[:0]
	for i, have := range a.have {
		if have == meta.AllLines {
			continue
		}
		if block, at, ok := x.find(a.first + meta.PageNo(i)); ok {
			a.wants = append(a.wants, want{page: i, block: block, at: at})
		}
	}
	slices.SortFunc(a.wants, func(v, w want) int { return cmp.Compare(v.at, w.at) })
	var block []byte
	var at extent
	for _, w := range a.wants {
		if block == nil || at != w.block {
			if block, err = a.from.block(blockKey{f, w.block}); err != nil {
				return err
			}
			at = w.block
		}
		r, err := f.record(block, w.block, w.at, a.shard, a.first+meta.PageNo(w.page))
		if err != nil {
			return err
		}
		a.have[w.page] = r.fill(a.dst[w.page*meta.PageSize:][:meta.PageSize], a.have[w.page])
	}
	return nil
}

// fill copies the record's lines that the page does not have yet and returns what it has then.
func (r record) fill(page []byte, have meta.LineMask) meta.LineMask {
	if r.mask == meta.AllLines && have == 0 {
		copy(page, r.lines)
		return meta.AllLines
	}
	at := 0
	for i := range meta.PageLines {
		bit := meta.LineMask(1) << i
		if r.mask&bit == 0 {
			continue
		}
		if have&bit == 0 {
			copy(page[i*meta.LineSize:][:meta.LineSize], r.lines[at:])
		}
		at += meta.LineSize
	}
	return have | r.mask
}

// Sizes tells what a checkpoint takes on disk, in bytes.
type Sizes struct {
	Delta  int64 // the pages that this checkpoint wrote
	Live   int64 // the pages that exist, whole
	Stored int64 // all data files that it names, and what is embedded
	Files  int   // how many those data files are
}

// Sizes adds up what the metadata says.
func (c *Checkpoint) Sizes() Sizes { return sizesOf(c.Meta) }

func sizesOf(m *meta.Metadata) Sizes {
	var s Sizes
	for _, f := range m.Files {
		if !f.Embedded() {
			s.Files++
		}
		s.Stored += f.Size
		if f.Checkpoint == m.ID {
			s.Delta += f.Size
		}
	}
	for _, o := range m.Operators {
		for _, sh := range o.Shards {
			s.Live += int64(sh.Pages) * meta.PageSize
		}
	}
	return s
}

// Close closes the files. A checkpoint from a Dir may then be retired. Later calls do nothing.
func (c *Checkpoint) Close() error {
	var errs []error
	c.once.Do(func() {
		for _, f := range c.files {
			errs = append(errs, f.Close())
		}
		if c.closed != nil {
			c.closed()
		}
	})
	return errors.Join(errs...)
}
