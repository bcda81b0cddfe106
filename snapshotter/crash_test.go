package snapshotter

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

// world is a job as the crash and fault tests run it: a directory, a store, and what every checkpoint should hold.
type world struct {
	fs     vfs.FS
	o      Options
	mark   func(string)
	rnd    *rand.Rand
	d      *Dir
	s      *fakeStore
	images map[meta.CheckpointID]image
	begun  meta.CheckpointID
	names  int // savepoints begun
}

func newWorld(fsys vfs.FS, o Options, mark func(string)) *world {
	o.FS = fsys
	return &world{fs: fsys, o: o, mark: mark, rnd: rand.New(rand.NewPCG(7, 0)), images: map[meta.CheckpointID]image{}}
}

// open restores the newest checkpoint, or starts empty.
func (w *world) open() error {
	if w.d != nil {
		return nil
	}
	d, err := Open("/state/job", w.o)
	if err != nil {
		return err
	}
	s, err := restore(d)
	if err != nil {
		d.Close()
		return err
	}
	w.d, w.s = d, s
	if s.base.Checkpoint != 0 {
		w.mark(fmt.Sprint("ack ", s.base.Checkpoint)) // whoever builds on it relies on it
	}
	return nil
}

func restore(d *Dir) (*fakeStore, error) {
	c, err := d.Latest()
	if errors.Is(err, meta.ErrNotFound) {
		return newFakeStore(1), nil
	}
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return openFakeStore(1, c)
}

func (w *world) close() {
	if w.d != nil {
		w.d.Close()
		w.d = nil
	}
}

func (w *world) save() error {
	if err := w.open(); err != nil {
		return err
	}
	w.s.scribble(w.rnd, 6)
	p, err := w.d.Begin()
	if err != nil {
		return err
	}
	cut := w.s.freeze()
	w.images[p.ID()] = w.s.pages.clone()
	w.begun = max(w.begun, p.ID())
	p.Add(cut)
	_, err = p.Publish(ctx, &meta.Metadata{})
	if waitErr := cut.Wait(ctx); (waitErr == nil) != (err == nil) {
		return fmt.Errorf("the verdict %v disagrees with Publish: %v", waitErr, err)
	}
	if err != nil {
		return err
	}
	w.mark(fmt.Sprint("ack ", p.ID()))
	_, err = w.d.Retire(ctx)
	return err
}

func (w *world) whole() error {
	if err := w.open(); err != nil {
		return err
	}
	w.s.whole = true
	return w.save()
}

// large fills the state, busy changes much of it: the sweep has something to go round and goes round it.
func (w *world) large() error {
	if err := w.open(); err != nil {
		return err
	}
	for i := range 24 {
		w.s.grow(w.s.shard(i%3), byte(i))
	}
	return w.save()
}

func (w *world) busy() error {
	if err := w.open(); err != nil {
		return err
	}
	w.s.scribble(w.rnd, 180)
	return w.save()
}

func (w *world) abort() error {
	if err := w.open(); err != nil {
		return err
	}
	w.s.scribble(w.rnd, 3)
	p, err := w.d.Begin()
	if err != nil {
		return err
	}
	w.begun = max(w.begun, p.ID())
	cut := w.s.freeze()
	p.Add(cut)
	p.drains.Wait()
	p.pack.Lock()
	err = p.packer.flush() // so that there is a file to remove
	p.pack.Unlock()
	p.Abort(meta.ErrAborted)
	cut.Wait(ctx)
	return err
}

func (w *world) reopen() error {
	w.close()
	return w.open()
}

// rewind goes back by one checkpoint.
func (w *world) rewind() error {
	if err := w.open(); err != nil {
		return err
	}
	ids, err := w.d.List()
	if err != nil || len(ids) < 2 {
		return err
	}
	id := ids[len(ids)-2]
	w.d.Revoke()
	w.mark(fmt.Sprint("rewinding ", id))
	if err := w.d.Rewind(ctx, id); err != nil {
		w.close()
		return err
	}
	w.mark(fmt.Sprintf("rewound %d %d", id, ids[len(ids)-1]))
	return w.restored(restore(w.d))
}

// restored takes over a freshly restored store, or gives the directory up.
func (w *world) restored(s *fakeStore, err error) error {
	if err != nil {
		w.close()
		return err
	}
	w.s = s
	return nil
}

func (w *world) discard() error {
	if err := w.open(); err != nil {
		return err
	}
	w.mark("discarding")
	err := w.d.DiscardAll(ctx)
	if err == nil {
		w.mark("discarded")
		w.s = newFakeStore(1)
	} else {
		w.close()
	}
	return err
}

// foreign puts a file of somebody else where checkpoints are.
func (w *world) foreign() error {
	if err := w.open(); err != nil || w.s.base.Checkpoint == 0 {
		return err
	}
	f, err := w.fs.Create(w.d.chkPath(w.s.base.Checkpoint) + "/notes.txt")
	if err != nil {
		return err
	}
	return f.Close()
}

// bring imports a checkpoint that lies outside.
func (w *world) bring() error {
	if err := w.open(); err != nil {
		return err
	}
	c, err := Load("/outside", LoadOptions{FS: w.fs})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := openFakeStore(1, c)
	if err != nil {
		return err
	}
	id := w.d.next + meta.CheckpointID(len(c.files))
	w.images[id] = s.pages.clone()
	w.begun = max(w.begun, id)
	own, err := w.d.Import(ctx, c, nil)
	if err != nil {
		w.close()
		return err
	}
	defer own.Close()
	w.mark(fmt.Sprint("ack ", own.Meta.ID))
	return w.restored(openFakeStore(1, own))
}

type step = func(*world) error

// workload is a run that is cut, killed and failed everywhere. A new way to change a directory gets a step and a place in
// the list; everything else follows.
type workload struct {
	name    string
	o       Options
	outside bool
	noLinks bool
	steps   []step
}

var workloads = []workload{
	{"first", Options{}, false, false, []step{(*world).save}},
	{"incremental", Options{}, false, false, []step{
		(*world).save, (*world).save, (*world).abort, (*world).save, (*world).save,
	}},
	{"cleaning and retire", Options{Retained: 2}, false, false, []step{
		(*world).save, (*world).save, (*world).foreign, (*world).save, (*world).whole, (*world).save, (*world).whole, (*world).save,
	}},
	{"restore, then run", Options{DataDir: "/data/job", Retained: 2}, false, false, []step{
		(*world).save, (*world).save, (*world).reopen, (*world).save, (*world).rewind, (*world).save, (*world).reopen, (*world).whole, (*world).save,
	}},
	{"discard all", Options{DataDir: "/data/job", Retained: 2}, false, false, []step{
		(*world).save, (*world).save, (*world).foreign, (*world).discard, (*world).save,
	}},
	{"sweep", Options{small: -1}, false, false, []step{
		(*world).large, (*world).busy, (*world).busy, (*world).abort, (*world).busy, (*world).busy, (*world).reopen, (*world).busy,
		(*world).busy, (*world).busy,
	}},
	{"import", Options{DataDir: "/data/job", Retained: 2}, true, false, []step{(*world).bring, (*world).save, (*world).reopen}},
	{"embedded", Options{Embed: 1 << 20}, false, false, []step{
		(*world).save, (*world).save, (*world).abort, (*world).save, (*world).export, (*world).rewind, (*world).reopen, (*world).save,
	}},
	{"import, then embedded", Options{Embed: 1 << 20}, true, true, []step{(*world).bring, (*world).save, (*world).reopen}},
	{"import by copy", Options{DataDir: "/data/job"}, true, true, []step{(*world).bring, (*world).save}},
	{"savepoint", Options{}, false, false, []step{(*world).save, (*world).save, (*world).export, (*world).save, (*world).export, (*world).dropSavepoint}},
	{"discard one", Options{DataDir: "/data/job", Retained: 3}, false, false, []step{
		(*world).save, (*world).save, (*world).whole, (*world).dropOldest, (*world).dropNewest, (*world).save,
	}},
	{"savepoint by copy", Options{DataDir: "/data/job"}, false, true, []step{(*world).save, (*world).export, (*world).save}},
}

// outside makes a checkpoint elsewhere, whose files nobody has synced.
func outside(fsys vfs.FS) error {
	d, err := Open("/outside", Options{FS: fsys, newJob: func() meta.JobID { return 0xabc }})
	if err != nil {
		return err
	}
	defer d.Close()
	w := newWorld(fsys, Options{}, func(string) {})
	w.d, w.s = d, newFakeStore(1)
	for range 3 {
		if err := w.save(); err != nil {
			return err
		}
	}
	return nil
}

// unsyncedCopy copies the files of a directory as cp does.
func unsyncedCopy(from, to vfs.FS, dir string) error {
	if err := vfs.MkdirAll(to, dir); err != nil {
		return err
	}
	names, err := from.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = dir + "/" + name
		b, err := readFile(from, name, 1<<30)
		if err != nil {
			if err := unsyncedCopy(from, to, name); err != nil {
				return err
			}
			continue
		}
		f, err := to.Create(name)
		if err != nil {
			return err
		}
		if _, err := f.Write(b); err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// noLinks is a file system that cannot link, as across two of them.
type noLinks struct{ vfs.FS }

func (noLinks) Link(_, to string) error {
	return &fs.PathError{Op: "link", Path: to, Err: errors.ErrUnsupported}
}

func over(fsys vfs.FS, without bool) vfs.FS {
	if without {
		return noLinks{fsys}
	}
	return fsys
}

func start(fsys vfs.FS, hasOutside bool) error {
	if !hasOutside {
		return nil
	}
	made := vfs.NewMem()
	if err := outside(made); err != nil {
		return err
	}
	return unsyncedCopy(made, fsys, "/outside")
}

// promise is what the marks say about the checkpoint that must be found.
type promise struct {
	none     bool              // there may be none
	floor    meta.CheckpointID // not older than this
	gap, top meta.CheckpointID // and not in (gap, top]

	savepoints []string // that exist
	discarded  []string // or are about to be
}

func promised(marks []string) promise {
	p := promise{none: true}
	for _, m := range marks {
		var a, b meta.CheckpointID
		switch word, rest, _ := strings.Cut(m, " "); word {
		case "ack":
			fmt.Sscan(rest, &a)
			p.none, p.floor = false, a
		case "rewinding":
			fmt.Sscan(rest, &a)
			p.floor = a
		case "rewound":
			fmt.Sscan(rest, &a, &b)
			p.floor, p.gap, p.top = a, a, b
		case "discarding":
			p.none, p.gap, p.top = true, 0, 0 // ids may begin again
		case "discarded":
			p = promise{none: true, savepoints: p.savepoints}
		case "savepoint":
			p.savepoints = append(p.savepoints, rest)
		case "discarding-savepoint":
			p.savepoints = slices.DeleteFunc(p.savepoints, func(s string) bool { return s == rest })
			p.discarded = append(p.discarded, rest)
		}
	}
	return p
}

// checkLeft restores what a crash has left, compares it with the model and runs on.
func (w *world) checkLeft(left vfs.FS, p promise) error {
	if err := w.checkSavepoints(left, p); err != nil {
		return err
	}
	o := w.o
	o.FS = left
	d, err := Open("/state/job", o)
	if err != nil {
		return err
	}
	defer d.Close()
	s, err := restore(d)
	if err != nil {
		return err
	}
	switch id := s.base.Checkpoint; {
	case id == 0 && !p.none:
		return fmt.Errorf("no checkpoint, want %d or newer", p.floor)
	case id == 0:
	case id < p.floor || id > p.gap && id <= p.top:
		return fmt.Errorf("found checkpoint %d, promised %+v", id, p)
	case w.images[id] == nil:
		return fmt.Errorf("found checkpoint %d, which was never begun", id)
	default:
		if what := diff(s.pages, w.images[id]); what != "" {
			return fmt.Errorf("checkpoint %d: %s", id, what)
		}
	}
	return runOn(d, s)
}

// runOn makes one more checkpoint and expects it, and nothing but it, to be kept.
func runOn(d *Dir, s *fakeStore) error {
	before := s.base.Checkpoint
	s.scribble(rand.New(rand.NewPCG(9, 0)), 4)
	if err := d.Save(ctx, s, nil); err != nil {
		return fmt.Errorf("next checkpoint: %w", err)
	}
	if s.base.Checkpoint <= before {
		return fmt.Errorf("checkpoint %d follows %d", s.base.Checkpoint, before)
	}
	again, err := restore(d)
	if err != nil {
		return err
	}
	if what := diff(again.pages, s.pages); what != "" {
		return fmt.Errorf("next checkpoint %d: %s", s.base.Checkpoint, what)
	}
	if err := d.SweepOrphans(ctx); err != nil {
		return err
	}
	return onlyNamed(d)
}

// onlyNamed checks that the directories hold the data files that metadata names, and no others.
func onlyNamed(d *Dir) error {
	keep, err := d.allNamed()
	if err != nil {
		return err
	}
	var names []string
	for _, dir := range d.dirs() {
		in, err := d.fs.List(dir)
		if err != nil {
			return err
		}
		names = append(names, slices.DeleteFunc(in, func(n string) bool { return !strings.HasSuffix(n, ".delta") })...)
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(keep)); !slices.Equal(names, want) {
		return fmt.Errorf("data files %v, want %v", names, want)
	}
	return nil
}

// TestCrashAnywhere cuts the power after every call of every workload.
func TestCrashAnywhere(t *testing.T) {
	for _, tt := range workloads {
		t.Run(tt.name, func(t *testing.T) {
			tally := vfstest.NewTally(t, "crash", tt.name)
			crash := vfs.NewCrash()
			must(t, start(crash, tt.outside))
			w := newWorld(over(crash, tt.noLinks), tt.o, crash.Mark)
			begin := crash.Len()
			for _, s := range tt.steps {
				must(t, s(w))
			}
			w.close()
			power := vfstest.Crashes{Disk: crash, From: begin, Seed: 1, Sample: 6}
			power.Check(tally, func(left *vfs.Mem, marks []string) error { return w.checkLeft(left, promised(marks)) })
		})
	}
}

// A process killed at any call leaves what it did in the page cache. The next one restores from that; what it then relies
// on must survive a power cut.
func TestKillThenPowerCut(t *testing.T) {
	for _, tt := range workloads {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tally := vfstest.NewTally(t, "crash", tt.name+", killed first")
			for k := 1; killed(t, tally, tt, k) && !tally.Lost(); k += vfstest.Every(1) {
			}
		})
	}
}

// killed says whether the workload has a k-th call.
func killed(t *testing.T, tally *vfstest.Tally, tt workload, k int) bool {
	crash := vfs.NewCrash()
	must(t, start(crash, tt.outside))
	fault := vfs.NewFault(crash)
	fault.Fail(k, nil, vfs.Failure{Err: errKilled, Sticky: true})
	w := newWorld(over(fault, tt.noLinks), tt.o, crash.Mark)
	died := false
	for _, s := range tt.steps {
		if died = s(w) != nil; died {
			break
		}
	}
	w.close()
	fault.Heal()
	if !died && fault.Calls() < k {
		return false
	}
	must(t, w.open())
	w.close()
	power := vfstest.Crashes{Disk: crash, Seed: 1, Sample: 12}
	power.CheckEnd(tally, func(left *vfs.Mem, marks []string) error {
		if err := w.checkLeft(left, promised(marks)); err != nil {
			return fmt.Errorf("killed at call %d: %w", k, err)
		}
		return nil
	})
	return true
}

var errKilled = errors.New("killed")
