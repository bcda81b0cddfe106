package snapshotter

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Data files in a directory of their own are found by the job's id. A copy of the job's directory has the same id: both
// would take the data files for theirs, and each would delete what only the other names. So the data directory says, in
// a file _home-<job id>, which directory the id belongs to. It has the form of the job's identity, with the two paths in
// place of the name. Its own name becomes durable with that of the first data file.

func homeFile(job meta.JobID) string { return "_home-" + job.String() }

// home is a job's directory and that of its data files, as absolute paths.
type home struct{ path, data string }

func (h home) encode(job meta.JobID) []byte {
	return identity{job: job, name: h.path + "\x00" + h.data}.encode()
}

func decodeHome(file string, b []byte) (home, error) {
	id, err := decodeIdentity(file, b)
	if err != nil {
		return home{}, err
	}
	path, data, ok := strings.Cut(id.name, "\x00")
	if !ok {
		return home{}, damaged(file, 24, "not the home of a job")
	}
	return home{path, data}, nil
}

// moveIn makes sure that the data files are this directory's. It fails with meta.ErrIncompatible if they belong to the
// directory that this one is a copy of.
func (d *Dir) moveIn() error {
	if d.o.DataDir == d.path {
		return nil // copied together
	}
	path, errPath := filepath.Abs(d.path)
	data, errData := filepath.Abs(d.o.DataDir)
	if err := errors.Join(errPath, errData); err != nil {
		return err
	}
	here := home{path, data}
	file := d.dataPath(homeFile(d.Job()))
	b, err := readFile(d.fs, file, jobMaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return d.writeHome(here)
	}
	if err != nil {
		return err
	}
	there, err := decodeHome(file, b)
	if err != nil || there == here {
		return err
	}
	free, err := d.free(here, there)
	if err != nil {
		return err
	}
	if !free {
		return fmt.Errorf("%s is a copy of %s, whose data files are in %s: give the copy a data directory of its own, or restore its checkpoint by path into a new directory: %w",
			here.path, there.path, here.data, meta.ErrIncompatible)
	}
	return d.writeHome(here)
}

// free tells directories that were moved, copied together or are known by another name from a lone copy of the job's.
func (d *Dir) free(here, there home) (bool, error) {
	if there.path != here.path {
		file := filepath.Join(there.path, jobFile)
		b, err := readFile(d.fs, file, jobMaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil // it was moved
		}
		if err != nil {
			return false, err
		}
		id, err := decodeIdentity(file, b)
		if err != nil || id.job != d.Job() {
			return err == nil, err
		}
		if same, err := d.alsoAt(there.path, d.path); same || err != nil {
			return same, err
		}
	}
	if there.data == here.data {
		return there.path == here.path, nil
	}
	_, err := readFile(d.fs, filepath.Join(there.data, homeFile(d.Job())), jobMaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return there.path == here.path, nil // the data files were moved, and are the other's if there is one
	}
	if err != nil {
		return false, err
	}
	same, err := d.alsoAt(there.data, d.o.DataDir)
	return !same || there.path == here.path, err // the data files were copied too, or are the same by another name
}

// alsoAt says whether another path leads to one of our directories too, over a link or a mount: what is made here shows
// there.
func (d *Dir) alsoAt(there, here string) (bool, error) {
	probe := filepath.Join(here, probeTemp)
	if err := remove(d.fs, probe); err != nil { // left by a crash
		return false, err
	}
	f, err := d.fs.Create(probe)
	if err != nil {
		return false, err
	}
	_, err = readFile(d.fs, filepath.Join(there, probeTemp), 0)
	same := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return same, errors.Join(err, f.Close(), remove(d.fs, probe))
}

func (d *Dir) writeHome(h home) error {
	if d.o.atRest {
		return nil
	}
	file := d.dataPath(homeFile(d.Job()))
	temp := file + ".tmp"
	if err := remove(d.fs, temp); err != nil { // left by a crash
		return err
	}
	if err := writeFile(d.fs, temp, h.encode(d.Job())); err != nil {
		return err
	}
	if err := remove(d.fs, file); err != nil {
		return err
	}
	return d.fs.Rename(temp, file)
}

// held says whether the locks still cover the directories that their paths lead to. Somebody may have moved one away and
// made another, which has an owner of its own then.
func (d *Dir) held() error {
	d.mu.Lock()
	locks := d.locks
	d.mu.Unlock()
	for _, l := range locks {
		if err := vfs.Held(l); err != nil {
			return err
		}
	}
	return nil
}
