package snapshotter

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Options says where and how a [Dir] keeps checkpoints. The zero value is the default.
type Options struct {
	FS       vfs.FS // default vfs.OS()
	DataDir  string // the directory of this job's data files; default: beside the metadata
	Retained int    // how many checkpoints are kept; default 1
	Whole    bool   // ask every cut for every page: each checkpoint is then one file
	Embed    int64  // keep the pages in _metadata, at most so many bytes, each time whole; 0: in data files
	Name     string // the job's name: recorded in a new directory, checked against an old one when both are set

	atRest bool // OpenExisting: the directories are only looked into, or tidied; the next Open says whose they are

	now    func() time.Time  // tests replace these
	newJob func() meta.JobID //
	small  int64             // bytes of state that are cleaned by whole checkpoints; default smallState, negative: none
}

func (o Options) withDefaults(path string) (Options, error) {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.DataDir == "" {
		o.DataDir = path
	}
	dir, err := ParseDir(o.DataDir)
	if err != nil {
		return o, err
	}
	o.DataDir = filepath.Clean(dir)
	if o.Retained < 0 {
		return o, fmt.Errorf("%d retained checkpoints: %w", o.Retained, meta.ErrIncompatible)
	}
	if o.Embed < 0 || o.Embed > meta.MaxEmbedded {
		return o, fmt.Errorf("at most %d bytes in _metadata: want 1 to %d: %w", o.Embed, meta.MaxEmbedded, meta.ErrIncompatible)
	}
	o.Whole = o.Whole || o.Embed > 0
	o.Retained = max(o.Retained, 1)
	if o.small == 0 {
		o.small = smallState
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.newJob == nil {
		o.newJob = randomJob
	}
	return o, nil
}

func randomJob() meta.JobID {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return meta.JobID(binary.LittleEndian.Uint64(b[:]))
}

// Dir is a job's directory, owned until Close. All methods may be called concurrently; Rewind, Import and DiscardAll are
// for when no checkpoint is under way.
//
//	<path>/_job  <path>/chk-<id>/_metadata          <data dir>/<job>-<attempt>-<checkpoint>.delta
//	                                                <data dir>/_home-<job>, if that is another directory
type Dir struct {
	path  string
	o     Options
	fs    vfs.FS
	locks []io.Closer // set by Open, taken back by the last Close

	publish sync.Mutex // the right to publish: held across steps 6 and 7
	study   study      // of what folds need to know

	mu      sync.Mutex // guards the fields below; never held across I/O
	job     meta.JobID
	attempt meta.Attempt
	next    meta.CheckpointID
	current *meta.Metadata                        // what the next checkpoint builds on, once known
	named   map[meta.CheckpointID]map[string]bool // data files by the metadata that names them: a cache
	unknown map[meta.CheckpointID]map[string]bool // data files of checkpoints that may not be durable, until they are removed
	pinned  map[meta.CheckpointID]int             // checkpoints being restored
	active  map[*Pending]bool                     // begun, not yet settled and cleaned up
	opened  map[*Checkpoint]bool                  // closed with the directory
	live    *Checkpoint                           // the newest one, kept open while stores evict; its files are shared
	fold    folding                               // what is known about the chain of the newest one
	cleans  bool                                  // the newest one has asked for a whole one to clean the chain
	closed  bool
}

// Open takes the job's directory, making it and its parents if needed. It fails with meta.ErrLocked if another owner has
// it, meta.ErrIncompatible if it belongs to a job of another name, and meta.ErrDamaged if its identity cannot be read.
// The caller must Close it.
func Open(path string, o Options) (_ *Dir, err error) {
	if path, err = ParseDir(path); err != nil {
		return nil, err
	}
	path = filepath.Clean(path)
	if o, err = o.withDefaults(path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	d := &Dir{
		path: path, o: o, fs: ordered(o.FS, path, o.DataDir),
		named:   map[meta.CheckpointID]map[string]bool{},
		unknown: map[meta.CheckpointID]map[string]bool{},
		pinned:  map[meta.CheckpointID]int{},
		active:  map[*Pending]bool{},
		opened:  map[*Checkpoint]bool{},
	}
	defer func() {
		if err != nil {
			d.unlock()
			err = fmt.Errorf("open checkpoint directory: %w", err)
		}
	}()
	if err := d.lock(); err != nil {
		return nil, err
	}
	if err := d.identify(); err != nil {
		return nil, err
	}
	if err := d.moveIn(); err != nil {
		return nil, err
	}
	if err := d.survey(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Dir) lock() error {
	for _, dir := range d.dirs() {
		if err := vfs.MkdirAll(d.fs, dir); err != nil {
			return err
		}
		l, err := d.fs.Lock(dir)
		if err != nil {
			return err
		}
		d.locks = append(d.locks, l)
	}
	return nil
}

// dirs are the directory of the metadata and, if it is another one, that of the data files.
func (d *Dir) dirs() []string {
	if d.o.DataDir == d.path {
		return []string{d.path}
	}
	return []string{d.path, d.o.DataDir}
}

func (d *Dir) unlock() error {
	var errs []error
	d.mu.Lock()
	locks := d.locks
	d.locks = nil
	d.mu.Unlock()
	for _, l := range locks {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// survey finds the largest checkpoint id and attempt in any name, so that neither is given out again.
func (d *Dir) survey() error {
	ids, err := d.folders()
	if err != nil {
		return err
	}
	for _, id := range ids {
		d.next = max(d.next, id)
		if m, err := d.readMeta(id); err == nil && m.Job == d.job {
			d.attempt = max(d.attempt, m.Attempt) // a damaged one is for Latest to report
		}
	}
	files, err := d.dataFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		d.next = max(d.next, f.checkpoint)
		d.attempt = max(d.attempt, f.attempt)
	}
	d.next++
	d.attempt++
	return nil
}

// folders lists the ids of the chk-N folders, ascending, with and without metadata.
func (d *Dir) folders() ([]meta.CheckpointID, error) { return chkFolders(d.fs, d.path) }

// ownFile is a data file that carries this job's id.
type ownFile struct {
	dataHeader
	path string
}

// dataFiles lists the data files that carry this job's id: also those beside the metadata that were written before the job
// had a data directory.
func (d *Dir) dataFiles() ([]ownFile, error) {
	var own []ownFile
	for _, dir := range d.dirs() {
		names, err := d.fs.List(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if h, ok := parseDataName(name); ok && h.job == d.job {
				own = append(own, ownFile{h, filepath.Join(dir, name)})
			}
		}
	}
	return own, nil
}

func (d *Dir) chkPath(id meta.CheckpointID) string { return filepath.Join(d.path, chkName(id)) }
func (d *Dir) metaPath(id meta.CheckpointID) string {
	return filepath.Join(d.chkPath(id), meta.FileName)
}
func (d *Dir) dataPath(name string) string { return filepath.Join(d.o.DataDir, name) }

// Path is the directory that the checkpoints' folders are in.
func (d *Dir) Path() string { return d.path }

// Job is the random id of the directory. It names the data files.
func (d *Dir) Job() meta.JobID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.job
}

// Attempt is the attempt that may publish now.
func (d *Dir) Attempt() meta.Attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attempt
}

// Revoke takes the right to publish from everything begun so far and returns the attempt that has it now. It waits for a
// checkpoint that is being published at this moment, so what Latest finds afterwards stays the newest.
func (d *Dir) Revoke() meta.Attempt {
	d.publish.Lock()
	defer d.publish.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempt++
	return d.attempt
}

// Pin keeps a checkpoint out of Retire until release is called. Release may be called more than once.
func (d *Dir) Pin(id meta.CheckpointID) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pinned[id]++
	var once sync.Once
	return func() {
		once.Do(func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.pinned[id]--; d.pinned[id] == 0 {
				delete(d.pinned, id)
			}
		})
	}
}

// Close aborts what is under way and waits until storage lets go of it, closes the checkpoints that came from this Dir and gives the directory up. It keeps
// every committed checkpoint. Later calls do nothing.
func (d *Dir) Close() error {
	d.publish.Lock()
	d.mu.Lock()
	again := d.closed
	d.closed = true
	var pending []*Pending
	for p := range d.active {
		pending = append(pending, p)
	}
	var open []*Checkpoint
	for c := range d.opened {
		open = append(open, c)
	}
	d.mu.Unlock()
	d.publish.Unlock()
	if again {
		return nil
	}
	for _, p := range pending {
		p.Abort(errClosed)
		<-p.done // a Publish under way cleans up after itself: the lock must cover that
	}
	d.study.end()
	d.mu.Lock() // again: a Publish that has ended since may have opened one
	live := d.live
	d.live = nil
	d.mu.Unlock()
	if live != nil {
		open = append(open, live)
	}
	var errs []error
	for _, c := range open {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, d.unlock())...)
}

// usable says whether this Dir may change anything on disk.
func (d *Dir) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return fmt.Errorf("%s: %w", d.path, errClosed)
	}
	return d.held()
}
