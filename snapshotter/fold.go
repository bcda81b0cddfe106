package snapshotter

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// Fold joins small files. Of each, the lines are known that no later file has; when there are eight of about one size,
// the stores are asked to carry those lines, and a file that has none left leaves the chain. What counts is what arrives:
// nothing is known of a wish that was not granted but that its lines are still there.

const (
	foldFiles  = 8  // so many make a group
	foldSpread = 8  // if the largest is less than so many times the smallest
	foldShare  = 32 // and at most this part of the live bytes

	// With this many files in the chain, fewer and larger ones are folded.
	crowd      = 27
	crowdFiles = 4
	crowdShare = 12
)

// folding is what a Dir knows about the small files of the chain of checkpoint of. It is replaced, never changed.
type folding struct {
	of    meta.CheckpointID
	live  map[string]lineSet // by file: the lines that no later file has, or more
	asked lineSet            // of the next cut
}

// folding gives what is known about the chain that a checkpoint builds on. After a restore, that is nothing yet.
func (d *Dir) folding(of meta.CheckpointID) folding {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fold.of != of { // rule: fold-knows-its-chain
		return folding{of: of, live: map[string]lineSet{}}
	}
	return d.fold
}

// remember keeps what is known about the chain of the checkpoint that was just committed.
func (d *Dir) remember(p *Pending) {
	f := p.fold
	if f.of != p.id { // it wrote no file: all is as before
		f = d.folding(p.base)
		f.of = p.id
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fold = f
}

// after is what is known once a file has been added: what it has, the others no longer need.
func (f folding) after(id meta.CheckpointID, added lineSet, shards []meta.Shard) folding {
	next := folding{of: id, live: map[string]lineSet{}}
	for name, set := range f.live {
		next.live[name] = set.without(added, shards)
	}
	return next
}

// emptied says that a file is known to hold nothing that is still needed.
func (f folding) emptied(name string) bool {
	set, known := f.live[name]
	return known && len(set) == 0
}

// plan chooses the files to fold next, and remembers what it asks for.
func (d *Dir) plan(m *meta.Metadata, live int64) []meta.Head {
	f := d.folding(m.ID)
	f.live, f.asked = maps.Clone(f.live), lineSet{}
	group := foldable(m.Files, live)
	for _, ref := range group {
		if set := d.study.learned(ref.Name); f.live[ref.Name] == nil && set != nil {
			f.live[ref.Name] = set.without(nil, pageSpace(m))
		}
	}
	for _, ref := range group {
		if f.live[ref.Name] == nil {
			f.asked = lineSet{}
			d.study.begin(d, m, ref)
			break
		}
		f.asked.add(f.live[ref.Name])
	}
	d.mu.Lock()
	d.fold = f
	d.mu.Unlock()
	return f.asked.heads()
}

// foldable gives the smallest group of small files that is large enough, or none.
func foldable(files []meta.DataFile, live int64) []meta.DataFile {
	enough, limit := foldFiles, live/foldShare
	if len(files) >= crowd {
		enough, limit = crowdFiles, live/crowdShare
	}
	small := slices.DeleteFunc(slices.Clone(files), func(f meta.DataFile) bool { return f.Size > limit })
	slices.SortStableFunc(small, func(a, b meta.DataFile) int { return cmp.Compare(a.Size, b.Size) })
	for i := 0; i+enough <= len(small); i++ {
		if small[i+enough-1].Size < foldSpread*small[i].Size {
			return small[i : i+enough]
		}
	}
	return nil
}
