package snapshotter

import (
	"bytes"
	"fmt"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// A checkpoint of small state may hold its pages in _metadata itself (Options.Embed): the bytes that would have been its
// data file are a section there, and one file that can be copied as it is holds everything. They are read like those of
// any data file. No later checkpoint can build on them, so the first one after a restore is whole.

// memFile is a delta file that lies in memory. While it is written it keeps at most limit bytes, and counts on.
type memFile struct {
	b     []byte
	size  int64
	limit int64
}

var _ vfs.File = (*memFile)(nil)

// Write never fails: that the file is too large is said when its size is known.
func (f *memFile) Write(b []byte) (int, error) {
	if f.size += int64(len(b)); f.size <= f.limit {
		f.b = append(f.b, b...)
	} else {
		f.b = nil
	}
	return len(b), nil
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) { return bytes.NewReader(f.b).ReadAt(b, at) }
func (f *memFile) Size() (int64, error)                   { return int64(len(f.b)), nil }
func (f *memFile) Sync() error                            { return nil }
func (f *memFile) Close() error                           { return nil }

// bytes is what was written; a [SizeError] if that was more than the limit.
func (f *memFile) bytes() ([]byte, error) {
	if f.size > f.limit {
		return nil, &SizeError{Size: f.size, Limit: f.limit}
	}
	return f.b, nil
}

// SizeError says that the pages of a checkpoint are more than may be embedded in its metadata.
type SizeError struct{ Size, Limit int64 }

// Error names both sizes.
func (e *SizeError) Error() string {
	return fmt.Sprintf("state of %d bytes is more than the %d that _metadata may hold", e.Size, e.Limit)
}

// create makes the file that the checkpoint's pages go to.
func (p *Pending) create() (vfs.File, error) {
	if limit := p.d.o.Embed; limit > 0 {
		return &memFile{limit: limit}, nil
	}
	return p.d.fs.Create(p.d.dataPath(p.dataName()))
}

// embed puts the pages into the metadata, in the place of steps 1 to 3.
func (p *Pending) embed(m *meta.Metadata, file meta.DataFile) (err error) {
	m.Embedded, err = p.packer.file.(*memFile).bytes()
	file.Checkpoint, p.fresh = p.id, file.Size
	m.Files = []meta.DataFile{file}
	return err
}

// mayFollow refuses a difference where only a whole checkpoint can be.
func (d *Dir) mayFollow(chain []meta.DataFile) error {
	if d.o.Embed > 0 || len(chain) == 1 && chain[0].Embedded() {
		return fmt.Errorf("pages in _metadata come whole, the cut is a difference: %w", meta.ErrIncompatible)
	}
	return nil
}

// WantsWhole implements [meta.WholeWanter].
func (c *Checkpoint) WantsWhole() bool { return c.whole || len(c.Meta.Embedded) > 0 }

var _ meta.WholeWanter = (*Checkpoint)(nil)

// openEmbedded opens the pages in the metadata as a data file.
func openEmbedded(file string, m *meta.Metadata) (*dataFile, error) {
	b := &memFile{b: m.Embedded}
	f := &dataFile{ref: m.Files[0], name: file + " (pages)", file: b, indexes: map[meta.ShardID]*index{}}
	return f, f.open()
}

// openData opens a data file of the checkpoint, wherever its bytes are.
func (c *Checkpoint) openData(places []string, ref meta.DataFile) (*dataFile, error) {
	if ref.Embedded() {
		return openEmbedded(c.Path, c.Meta)
	}
	return openDataFile(c.fs, places, ref)
}

// withoutPages is what a Dir remembers of a checkpoint.
func withoutPages(m *meta.Metadata) *meta.Metadata {
	light := *m
	light.Embedded = nil
	return &light
}
