package mmapstate

import (
	"errors"
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// Options configures a [Store]. The zero value is a store of operator 0 that owns all of 128 key groups.
type Options struct {
	// Operator is whose state the store holds.
	Operator meta.OperatorNo

	// KeyGroups is the number of key groups of the job, at most meta.MaxKeyGroups; zero means 128, or what the
	// checkpoint has.
	KeyGroups int

	// From and To bound the key groups that this store owns: From <= group < To. A zero To means KeyGroups, so the zero
	// values own all of them.
	From, To meta.KeyGroup

	// HashSeed seeds the key hash of a new store; zero draws one. An opened store has the checkpoint's.
	HashSeed uint64

	// SavedLimit bounds the bytes of saved lines that the writer of a cut has not yet released; at the limit the owner
	// waits. Zero means a quarter of the state, at least 64 MiB; with a memory limit a quarter of that, at least 1 MiB.
	SavedLimit int64

	// Lazy lets Open return at once: page groups are loaded and checked when they are first looked up. Otherwise Open
	// loads and checks all of them.
	Lazy bool

	// CheckOnly is for a store that is opened to see whether its states can be declared, and closed again: types that have
	// evolved are compared, but nothing is rewritten.
	CheckOnly bool

	// Preload loads and checks the page groups of a lazy store in the background as well, those with the newest changes
	// first, with a memory limit up to three quarters of it. A failure poisons the store.
	Preload bool

	// MemoryLimit bounds the bytes of pages that are resident after a [Store.Maintain]: page groups that the last
	// committed checkpoint has are evicted, those first that were not used for longest. It implies Lazy. Zero means no
	// limit.
	MemoryLimit int64
}

const (
	defaultKeyGroups = 128
	minSavedLimit    = 64 << 20
	minLimitedSaves  = 1 << 20 // with a memory limit
)

func (o Options) withDefaults() Options {
	if o.KeyGroups == 0 {
		o.KeyGroups = defaultKeyGroups
	}
	if o.To == 0 {
		o.To = meta.KeyGroup(o.KeyGroups)
	}
	o.Lazy = o.Lazy || o.MemoryLimit > 0
	return o
}

// validate returns all faults, joined.
func (o Options) validate() error {
	var faults []error
	if o.KeyGroups < 1 || o.KeyGroups > meta.MaxKeyGroups {
		faults = append(faults, fmt.Errorf("key groups: %d is not within 1..%d", o.KeyGroups, meta.MaxKeyGroups))
	}
	if o.From >= o.To || int(o.To) > o.KeyGroups {
		faults = append(faults, fmt.Errorf("owned key groups: %d up to %d is no range within 0..%d", o.From, o.To, o.KeyGroups))
	}
	if o.SavedLimit < 0 {
		faults = append(faults, fmt.Errorf("saved limit: %d is negative", o.SavedLimit))
	}
	if o.MemoryLimit < 0 {
		faults = append(faults, fmt.Errorf("memory limit: %d is negative", o.MemoryLimit))
	}
	return errors.Join(faults...)
}
