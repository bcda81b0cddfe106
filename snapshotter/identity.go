package snapshotter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// The file _job gives a directory its identity:
//
//	magic 8 │ version u32 │ job u64 │ name length u32 │ name │ XXH64 of all before u64

const (
	jobMagic   = "PTJOB\r\n\x00"
	jobVersion = 1
	jobFixed   = 8 + 4 + 8 + 4 + 8
	jobMaxSize = 64 << 10
)

type identity struct {
	job  meta.JobID
	name string
}

func (i identity) encode() []byte {
	b := append([]byte(nil), jobMagic...)
	b = binary.LittleEndian.AppendUint32(b, jobVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(i.job))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(i.name)))
	b = append(b, i.name...)
	return binary.LittleEndian.AppendUint64(b, hashOf(b))
}

func decodeIdentity(file string, b []byte) (identity, error) {
	if len(b) < jobFixed || string(b[:8]) != jobMagic {
		return identity{}, damaged(file, 0, "not a job's identity")
	}
	body := len(b) - 8
	if want, got := binary.LittleEndian.Uint64(b[body:]), hashOf(b[:body]); want != got { // guard: hash-job
		return identity{}, &meta.DamageError{File: file, What: "checksum", Want: want, Got: got, HasSum: true}
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != jobVersion {
		return identity{}, fmt.Errorf("%s: version %d, this release reads %d: %w", file, v, jobVersion, meta.ErrVersion)
	}
	if n := binary.LittleEndian.Uint32(b[20:]); int64(n) != int64(len(b)-jobFixed) {
		return identity{}, damaged(file, 20, "length of the job's name")
	}
	return identity{job: meta.JobID(binary.LittleEndian.Uint64(b[12:])), name: string(b[24:body])}, nil
}

// identify reads the directory's identity, or writes it once.
func (d *Dir) identify() error {
	file := filepath.Join(d.path, jobFile)
	b, err := readFile(d.fs, file, jobMaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return d.becomeNew()
	}
	if err != nil {
		return err
	}
	id, err := decodeIdentity(file, b)
	if err != nil {
		return err
	}
	if d.o.Name != "" && id.name != "" && d.o.Name != id.name {
		return fmt.Errorf("%s belongs to job %q, not %q: %w", d.path, id.name, d.o.Name, meta.ErrIncompatible)
	}
	d.job = id.job
	return nil
}

// becomeNew gives the directory a fresh identity. Checkpoints without one are not adopted: their files could not be told
// from another job's.
func (d *Dir) becomeNew() error {
	ids, err := d.folders()
	if err != nil {
		return err
	}
	for _, id := range ids {
		has, err := d.hasMeta(id)
		if err != nil {
			return err
		}
		if has {
			return damaged(filepath.Join(d.path, jobFile), 0, "missing beside checkpoints; to restore one, give its path to another directory")
		}
	}
	if len(d.o.Name) > jobMaxSize-jobFixed {
		return fmt.Errorf("job name of %d bytes: %w", len(d.o.Name), meta.ErrIncompatible)
	}
	id := identity{job: d.o.newJob(), name: d.o.Name}
	temp := filepath.Join(d.path, jobTemp)
	if err := remove(d.fs, temp); err != nil { // left by a crash
		return err
	}
	if err := writeFile(d.fs, temp, id.encode()); err != nil {
		return err
	}
	if err := d.fs.Rename(temp, filepath.Join(d.path, jobFile)); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.path); err != nil { // guard: sync-job-dir
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.job = id.job
	return nil
}

// writeFile makes a file whose content is durable; its name is not yet.
func writeFile(fsys vfs.FS, name string, b []byte) (err error) {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync() // guard: sync-file
}

// readFile reads a whole file of at most limit bytes; a larger one is damaged.
func readFile(fsys vfs.FS, name string, limit int64) (b []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, damaged(name, limit, fmt.Sprintf("%d bytes where at most %d belong", size, limit))
	}
	b = make([]byte, size)
	if err := readFull(f, name, b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// readFull fills b from a file that must be long enough.
func readFull(f vfs.File, name string, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return damaged(name, at+int64(n), "file is cut short")
	}
	return fmt.Errorf("read %s at offset %d: %w", name, at, err)
}

// remove deletes a name that need not exist.
func remove(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
