package snapshotter

import (
	"sync"

	"github.com/pagetide/pagetide/meta"
)

// study reads which lines a file has that was written before its Dir was opened. It does so beside the checkpoints, one
// file at a time: a commit waits for no such read, and what is known by the next one counts then.
type study struct {
	mu     sync.Mutex    // guards the fields below
	done   chan struct{} // closed when the file under way has been read; nil if there is none
	ended  bool
	name   string  // of the file that was read last
	result lineSet // of it; nil if it could not be read
}

// begin reads a file of a checkpoint, unless another one is being read. One that cannot be read is tried again when it is
// asked for again; it dies of age, or with the chain: reading it is for restores to insist on.
func (s *study) begin(d *Dir, m *meta.Metadata, ref meta.DataFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil || s.ended {
		return
	}
	done, places := make(chan struct{}), d.places(d.metaPath(m.ID))
	s.done = done
	go func() {
		defer close(done)
		set := d.linesOf(places, ref)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done, s.name, s.result = nil, ref.Name, set
	}()
}

func (d *Dir) linesOf(places []string, ref meta.DataFile) lineSet {
	f, err := openDataFile(d.fs, places, ref)
	if err != nil {
		return nil
	}
	defer f.Close() // read only
	set, err := readLines(f)
	if err != nil {
		return nil
	}
	return set
}

// learned gives the lines of a file, or more; nil while they are not known.
func (s *study) learned(name string) lineSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name != name {
		return nil
	}
	return s.result
}

// end begins nothing more, and waits until storage lets go of what is being read.
func (s *study) end() {
	s.mu.Lock()
	s.ended = true
	done := s.done
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}
