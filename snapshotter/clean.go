package snapshotter

import (
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// A chain that is longer or larger than this is given up for a whole checkpoint. Sweep and fold keep it shorter: at 32
// files and twice the live bytes, once the hand has gone round. Until then a whole file that it started from lies beside
// the pages that replace it.
const (
	maxFiles    = 32
	maxOverhead = 3
)

// A state of this size or less is not worth cleaning in parts: its chain ends with a whole checkpoint.
const (
	smallState    = 4 << 20
	smallFiles    = 16
	smallOverhead = 2
)

// tidy adds the file that the packer has just finished to the chain, moves the hand over what it carries and drops the
// files that have died.
func (p *Pending) tidy(m *meta.Metadata, file meta.DataFile) {
	shards := pageSpace(m)
	hand, swept := sweep(m.Sweep, shards, p.packer.wholeUntil)
	added, all := p.packer.lineSet()
	known := p.d.folding(p.base)
	written := fresh(file.Size-swept*pageCost, p.packer.lines-swept*meta.PageLines, known.asked.common(added))
	if p.fresh = written; p.whole && !p.d.cleansWhole() {
		p.fresh = file.Size // nothing was asked for
	}
	p.fold = known.after(p.id, added, shards)
	m.Sweep, file.Hand = hand, hand
	chain := make([]meta.DataFile, 0, len(m.Files)+1)
	for _, f := range m.Files {
		if isDead(f, hand) || p.fold.emptied(f.Name) {
			delete(p.fold.live, f.Name)
			continue
		}
		chain = append(chain, f)
	}
	m.Files = append(chain, file)
	if all && file.Size <= int64(pagesOf(shards))*meta.PageSize/crowdShare {
		p.fold.live[file.Name] = added
	}
	m.Owed = owed(m.Owed, written, swept, sizesOf(m))
}

// fresh is the part of a file's bytes, those of whole pages aside, that was not carried. Lines that were asked for and
// written too count as carried.
func fresh(bytes, lines, carried int64) int64 {
	if lines <= carried {
		return 0
	}
	return int64(float64(bytes) * float64(lines-carried) / float64(lines))
}

// hand is where the sweep stood in the newest checkpoint.
func (d *Dir) hand() meta.Hand {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil {
		return meta.Hand{}
	}
	return d.current.Sweep
}

// cleansWhole says that the next checkpoint was asked to be whole to clean the chain.
func (d *Dir) cleansWhole() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cleans
}

// owed is what the sweep owes after a checkpoint: for what was written fresh, and an eighth more, because files are
// larger than their lines; as much again while the chain is near twice the live bytes. A turn pays for everything.
func owed(before uint64, fresh, swept int64, s Sizes) uint64 {
	extra := fresh / 8
	if s.Stored > s.Live+s.Live/5*4 {
		extra = fresh
	}
	paid, turn := uint64(swept)*pageCost, uint64(s.Live/meta.PageSize)*pageCost
	owed := min(before, turn) + uint64(fresh+extra)
	return min(owed-min(owed, paid), turn)
}

// wishes asks the stores to carry what lets old files go.
func (d *Dir) wishes(m *meta.Metadata, info *Info) meta.Verdict {
	v := meta.Verdict{Base: meta.Base{Job: m.Job, Checkpoint: m.ID}}
	info.Asked = d.wantsWhole(m, info)
	d.mu.Lock()
	d.cleans = info.Asked != "" && !d.o.Whole
	d.mu.Unlock()
	switch v.Whole = info.Asked != ""; {
	case v.Whole, info.Live <= d.o.small:
		return v
	}
	v.Lines = d.plan(m, info.Live)
	v.Pages = stretches(m.Sweep, pageSpace(m), m.Owed)
	return v
}

// wantsWhole gives the reason why the next checkpoint should start a new chain, or none.
func (d *Dir) wantsWhole(m *meta.Metadata, info *Info) string {
	switch small := info.Live <= d.o.small; {
	case d.o.Whole:
		return "every checkpoint is whole"
	case small && info.Files+1 >= smallFiles:
		return fmt.Sprintf("%d files of a small state", info.Files)
	case small && info.Stored > max(d.o.small, smallOverhead*info.Live):
		return fmt.Sprintf("%d bytes stored for %d of a small state", info.Stored, info.Live)
	case small:
		return ""
	case info.Files >= maxFiles:
		return fmt.Sprintf("%d files in the chain", info.Files)
	case info.Stored > maxOverhead*info.Live:
		return fmt.Sprintf("%d bytes stored for %d of state", info.Stored, info.Live)
	case int64(m.Owed) > info.Live/2:
		return fmt.Sprintf("%d bytes to write anew of %d", m.Owed, info.Live)
	}
	return ""
}
