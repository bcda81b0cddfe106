package fuzz

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// specimen is a sound checkpoint of a store with something in every table, to be spoiled: two delta files and metadata.
type specimen struct {
	metadata *meta.Metadata
	encoded  []byte
	data     [][]byte // by Metadata.Files
	pages    map[pageID][]byte
}

var soundSpecimen = sync.OnceValue(func() *specimen {
	sp, err := makeSpecimen()
	if err != nil {
		panic(err)
	}
	return sp
})

// specimenScript fills every table, two checkpoints long. Its settings are specimenConfig's.
func specimenScript() (s script) {
	s.config = specimenConfig
	for round := range byte(2) {
		for table := range tableCount {
			for key := range byte(12) {
				s.ops = append(s.ops, useTable(table, 0, key*(1+round), key*5+round, key*20))
			}
		}
		for table := range tableCount {
			action := []int{10, 10, 10, 10, 10, 14, 14, 13, 13, 12}[table]
			s.ops = append(s.ops, useTable(table, action, round, 60, 200))
		}
		s.ops = append(s.ops, useControl(ctrlFreeze, 0, 0, 0), useControl(ctrlCommit, 0, 0, 0), useControl(ctrlTick, 1, 1, 0))
	}
	return s
}

// specimenConfig: four key groups, keys of text, some tables with a TTL.
var specimenConfig = [configBytes]byte{1, 9, 0, 0, 1, 2}

func makeSpecimen() (*specimen, error) {
	s := specimenScript()
	m := newSim(s)
	if err := m.open(op{}); err != nil {
		return nil, err
	}
	for _, o := range s.ops {
		if err := m.step(o); err != nil {
			return nil, err
		}
	}
	c, err := m.dir.Latest()
	if err != nil {
		return nil, err
	}
	sp := &specimen{metadata: c.Meta, encoded: c.Meta.Encode(), pages: map[pageID][]byte{}}
	for _, sh := range c.Shards(0) {
		for p := range meta.PageNo(sh.Pages) {
			b := make([]byte, meta.PageSize)
			if err := c.Load(context.Background(), sh.ID, p, b); err != nil {
				return nil, err
			}
			sp.pages[pageID{sh.ID, p}] = b
		}
	}
	for _, f := range c.Meta.Files {
		b, err := contents(m.fs, path.Join("job", f.Name))
		if err != nil {
			return nil, err
		}
		sp.data = append(sp.data, b)
	}
	if len(sp.data) != 2 {
		return nil, errors.New("the specimen has no chain of two files: " + strings.Repeat("i", len(sp.data)))
	}
	return sp, m.end()
}

func contents(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, size))
}

// place puts a checkpoint's files where snapshotter.Load finds them.
func place(metadata []byte, names []string, data [][]byte) (*vfs.Mem, error) {
	fsys := vfs.NewMem()
	write := func(name string, b []byte) error {
		f, err := fsys.Create(name)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Close())
	}
	if err := vfs.MkdirAll(fsys, "job/chk-2"); err != nil {
		return nil, err
	}
	err := write("job/chk-2/"+meta.FileName, metadata)
	for i, name := range names {
		err = errors.Join(err, write("job/"+name, data[i]))
	}
	return fsys, err
}

// load opens placed files.
func load(fsys vfs.FS) (*snapshotter.Checkpoint, error) {
	return snapshotter.Load("job/chk-2", snapshotter.LoadOptions{FS: fsys})
}
