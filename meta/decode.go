package meta

import (
	"encoding/binary"
	"fmt"
	"regexp"

	"github.com/cespare/xxhash/v2"
)

// Decode reads the bytes of a metadata file; name is the file's path, for errors. The result may refer to b, which must not
// be changed afterwards. The bytes may be hostile: nothing is allocated beyond a small multiple of their length. Errors are a [*DamageError], or ErrVersion for a file that is
// intact but newer than this release.
func Decode(name string, b []byte) (*Metadata, error) {
	if err := checkFrame(name, b); err != nil {
		return nil, err
	}
	d := decoder{name: name, b: b[:len(b)-8], at: headerSize}
	m := &Metadata{}
	d.section(secJob, func() {
		m.Job = JobID(d.u64())
		m.Name = d.str()
		m.ID = CheckpointID(d.u64())
		m.Attempt = Attempt(d.u32())
		m.Created = d.i64()
	})
	d.section(secArgs, func() { m.Args = many(&d, 4, d.str) })
	d.section(secNotes, func() {
		for _, kv := range many(&d, 8, func() [2]string { return [2]string{d.str(), d.str()} }) {
			if m.Notes == nil {
				m.Notes = map[string]string{}
			}
			m.Notes[kv[0]] = kv[1]
		}
	})
	d.section(secHash, func() {
		m.HashName = d.str()
		m.HashSeed = d.u64()
		m.KeyGroups = d.u16()
		m.Sweep = d.hand()
		m.Owed = d.u64()
	})
	d.section(secFiles, func() { m.Files = many(&d, 56, d.file) })
	d.section(secOperators, func() { m.Operators = many(&d, 36, d.operator) })
	d.section(secSources, func() { m.Sources = many(&d, 8, d.source) })
	d.section(secSinks, func() { m.Sinks = many(&d, 8, d.sink) })
	d.section(secEmbedded, func() { m.Embedded = d.rest() })
	if d.err == nil && d.at != len(d.b) {
		d.fail("bytes after the last section")
	}
	if d.err == nil {
		d.check(m)
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// checkFrame proves that the file is whole before anything in it is believed. The checksum's place and function are
// the same in every version, so a newer file is told apart from a damaged one.
func checkFrame(name string, b []byte) error {
	switch {
	case len(b) > MaxSize:
		return &DamageError{File: name, What: fmt.Sprintf("metadata of %d bytes is over the limit of %d", len(b), MaxSize)}
	case len(b) < len(magic) || string(b[:len(magic)]) != magic:
		return &DamageError{File: name, What: "not a checkpoint's metadata file"}
	case len(b) < headerSize+8:
		return &DamageError{File: name, Offset: int64(len(b)), What: "metadata is cut short"}
	}
	if size := binary.LittleEndian.Uint64(b[12:]); size != uint64(len(b)) {
		return &DamageError{File: name, Offset: 12, What: fmt.Sprintf("metadata size: expected %d bytes, found %d", size, len(b))}
	}
	body := len(b) - 8
	if want, got := binary.LittleEndian.Uint64(b[body:]), xxhash.Sum64(b[:body]); want != got { // guard: hash-meta
		return &DamageError{File: name, What: "metadata checksum", Want: want, Got: got, HasSum: true}
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != Version {
		return fmt.Errorf("%s: metadata version %d, this release reads %d: %w", name, v, Version, ErrVersion)
	}
	return nil
}

// check refuses values that no writer produces, so that the rest of the program need not expect them.
func (d *decoder) check(m *Metadata) {
	if m.KeyGroups > MaxKeyGroups {
		d.fail("more key groups than %d", MaxKeyGroups)
	}
	if len(m.Embedded) > MaxEmbedded || len(m.Embedded) > 0 && !m.holdsFile() {
		d.fail("embedded pages of %d bytes that no file describes", len(m.Embedded))
	}
	named := map[string]bool{}
	for _, f := range m.Files {
		switch {
		case named[f.Name]:
			d.fail("data file %q appears twice", f.Name)
		case f.Embedded() && len(m.Embedded) == 0:
			d.fail("a file without a name and without embedded pages")
		case !f.Embedded() && !bareName.MatchString(f.Name):
			d.fail("data file name %q", f.Name)
		case f.Size < 0 || f.RootOffset < 0 || f.RootSize < 0 || f.RootOffset > f.Size || f.RootSize > f.Size-f.RootOffset:
			d.fail("root of %s lies outside the file", f.Name)
		}
		named[f.Name] = true
	}
	seen := map[OperatorNo]bool{}
	for _, o := range m.Operators {
		if seen[o.No] {
			d.fail("operator number %d appears twice", o.No)
		}
		seen[o.No] = true
		if !ascendFromZero(o.Watermarks, m.KeyGroups) {
			d.fail("watermarks of operator %q", o.UID)
		}
		last := -1
		for _, s := range o.Shards {
			if s.ID.Operator() != o.No || int(s.ID.Group()) >= int(m.KeyGroups) || int(s.ID.Group()) <= last {
				d.fail("shard %s of operator %q", s.ID, o.UID)
			}
			last = int(s.ID.Group())
		}
	}
}

func ascendFromZero(marks []GroupWatermark, groups uint16) bool {
	for i, w := range marks {
		if i == 0 && w.First != 0 || i > 0 && w.First <= marks[i-1].First || uint16(w.First) >= groups {
			return false
		}
	}
	return true
}

// holdsFile says that the embedded bytes are those of the only file.
func (m *Metadata) holdsFile() bool {
	return len(m.Files) == 1 && m.Files[0].Embedded() && m.Files[0].Size == int64(len(m.Embedded))
}

// bareName is what a data file may be called: it names a file beside the metadata and nothing else.
var bareName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,126}$`)

func (d *decoder) file() DataFile {
	return DataFile{Name: d.str(), Checkpoint: CheckpointID(d.u64()), Size: d.i64(), RootOffset: d.i64(), RootSize: d.i64(), RootHash: d.u64(), Hand: d.hand()}
}

func (d *decoder) hand() Hand {
	return Hand{Turn: d.u32(), Shard: ShardID(d.u32()), Page: PageNo(d.u32())}
}

func (d *decoder) operator() Operator {
	return Operator{
		No:          OperatorNo(d.u16()),
		UID:         d.str(),
		Kind:        d.str(),
		Fingerprint: d.str(),
		Parallelism: d.u16(),
		Watermark:   d.i64(),
		States:      many(d, 15, d.state),
		Shards:      many(d, 12, d.shard),
		Watermarks:  many(d, 10, func() GroupWatermark { return GroupWatermark{First: KeyGroup(d.u16()), Time: d.i64()} }),
	}
}

func (d *decoder) state() State {
	return State{No: d.u16(), Kind: StateKind(d.u8()), Name: d.str(), Key: d.str(), Type: d.str()}
}

func (d *decoder) shard() Shard {
	return Shard{ID: ShardID(d.u32()), Pages: d.u32(), States: many(d, 18, func() ShardState {
		return ShardState{No: d.u16(), Entries: d.u64(), Earliest: d.i64()}
	})}
}

func (d *decoder) source() Source {
	return Source{UID: d.str(), Splits: many(d, 17, func() Split {
		return Split{ID: d.str(), Position: d.str(), MaxTime: d.i64(), Done: d.bool()}
	})}
}

func (d *decoder) sink() Sink {
	return Sink{UID: d.str(), Txns: many(d, 14, func() Txn {
		return Txn{Checkpoint: CheckpointID(d.u64()), Subtask: d.u16(), Handle: []byte(d.str())}
	})}
}

// decoder reads little-endian values from hostile bytes. The first fault sticks; after it every read gives zero.
type decoder struct {
	name string
	b    []byte // a section's reads end where the section does
	at   int
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = &DamageError{File: d.name, Offset: int64(d.at), What: fmt.Sprintf(format, args...)}
	}
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.b)-d.at {
		d.fail("value runs past the end")
		return nil
	}
	v := d.b[d.at : d.at+n]
	d.at += n
	return v
}

// rest takes what is left of the section, nil if that is nothing.
func (d *decoder) rest() []byte {
	if len(d.b) == d.at {
		return nil
	}
	return d.take(len(d.b) - d.at)
}

func (d *decoder) u8() uint8 {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.u8()
	if v > 1 {
		d.fail("flag of %d", v)
	}
	return v == 1
}

func (d *decoder) u16() uint16 {
	if v := d.take(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) i64() int64 { return int64(d.u64()) }

func (d *decoder) str() string {
	n := d.u32()
	if uint64(n) > uint64(len(d.b)-d.at) {
		d.fail("string of %d bytes runs past the end", n)
		return ""
	}
	return string(d.take(int(n)))
}

// section reads one section and refuses bytes that its body leaves unread.
func (d *decoder) section(tag uint16, body func()) {
	if got := d.u16(); d.err == nil && got != tag {
		d.fail("section %d where %d belongs", got, tag)
	}
	n := d.u32()
	if d.err == nil && uint64(n) > uint64(len(d.b)-d.at) {
		d.fail("section %d of %d bytes runs past the end", tag, n)
	}
	if d.err != nil {
		return
	}
	whole := d.b
	end := d.at + int(n)
	d.b = whole[:end]
	body()
	if d.err == nil && d.at != end {
		d.fail("section %d has %d bytes too many", tag, end-d.at)
	}
	d.b = whole
}

// many reads a counted list; each item takes at least minSize bytes, which bounds the allocation.
func many[T any](d *decoder, minSize int, one func() T) []T {
	n := d.u32()
	if uint64(n) > uint64((len(d.b)-d.at)/minSize) {
		d.fail("list of %d items runs past the end", n)
		return nil
	}
	if d.err != nil || n == 0 {
		return nil
	}
	items := make([]T, 0, n)
	for range n {
		if items = append(items, one()); d.err != nil {
			return nil
		}
	}
	return items
}
