package meta

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// magic opens every metadata file. The line ending tells text-mode copies apart.
const magic = "PTMETA\r\n"

// headerSize is magic, version and the file's size.
const headerSize = 8 + 4 + 8

// Section tags. A file holds each of them once, in this order.
const (
	secJob       = 1
	secArgs      = 2
	secNotes     = 3
	secHash      = 4
	secFiles     = 5
	secOperators = 6
	secSources   = 7
	secSinks     = 8
	secEmbedded  = 9
)

// Encode returns the bytes of a metadata file:
//
//	magic 8 │ version u32 │ size u64 │ (tag u16 │ length u32 │ payload)* │ XXH64 of all before u64
//
// All numbers are little-endian. Equal metadata gives equal bytes.
func (m *Metadata) Encode() []byte {
	var e encoder
	e.raw(magic)
	e.u32(Version)
	e.u64(0) // the size, known at the end
	e.section(secJob, func() {
		e.u64(uint64(m.Job))
		e.str(m.Name)
		e.u64(uint64(m.ID))
		e.u32(uint32(m.Attempt))
		e.i64(m.Created)
	})
	e.section(secArgs, func() {
		list(&e, m.Args, e.str)
	})
	e.section(secNotes, func() {
		list(&e, slices.Sorted(maps.Keys(m.Notes)), func(k string) { e.str(k); e.str(m.Notes[k]) })
	})
	e.section(secHash, func() {
		e.str(m.HashName)
		e.u64(m.HashSeed)
		e.u16(m.KeyGroups)
		e.hand(m.Sweep)
		e.u64(m.Owed)
	})
	e.section(secFiles, func() { list(&e, m.Files, e.file) })
	e.section(secOperators, func() { list(&e, m.Operators, e.operator) })
	e.section(secSources, func() { list(&e, m.Sources, e.source) })
	e.section(secSinks, func() { list(&e, m.Sinks, e.sink) })
	e.section(secEmbedded, func() { e.b = append(e.b, m.Embedded...) })
	binary.LittleEndian.PutUint64(e.b[12:], uint64(len(e.b)+8))
	e.u64(xxhash.Sum64(e.b))
	return e.b
}

func (e *encoder) file(f DataFile) {
	e.str(f.Name)
	e.u64(uint64(f.Checkpoint))
	e.i64(f.Size)
	e.i64(f.RootOffset)
	e.i64(f.RootSize)
	e.u64(f.RootHash)
	e.hand(f.Hand)
}

func (e *encoder) hand(h Hand) {
	e.u32(h.Turn)
	e.u32(uint32(h.Shard))
	e.u32(uint32(h.Page))
}

func (e *encoder) operator(o Operator) {
	e.u16(uint16(o.No))
	e.str(o.UID)
	e.str(o.Kind)
	e.str(o.Fingerprint)
	e.u16(o.Parallelism)
	e.i64(o.Watermark)
	list(e, o.States, func(s State) {
		e.u16(s.No)
		e.b = append(e.b, byte(s.Kind))
		e.str(s.Name)
		e.str(s.Key)
		e.str(s.Type)
	})
	list(e, o.Shards, func(s Shard) {
		e.u32(uint32(s.ID))
		e.u32(s.Pages)
		list(e, s.States, func(st ShardState) {
			e.u16(st.No)
			e.u64(st.Entries)
			e.i64(st.Earliest)
		})
	})
	list(e, o.Watermarks, func(w GroupWatermark) {
		e.u16(uint16(w.First))
		e.i64(w.Time)
	})
}

func (e *encoder) source(s Source) {
	e.str(s.UID)
	list(e, s.Splits, func(p Split) {
		e.str(p.ID)
		e.str(p.Position)
		e.i64(p.MaxTime)
		e.bool(p.Done)
	})
}

func (e *encoder) sink(s Sink) {
	e.str(s.UID)
	list(e, s.Txns, func(t Txn) {
		e.u64(uint64(t.Checkpoint))
		e.u16(t.Subtask)
		e.str(string(t.Handle))
	})
}

// encoder appends little-endian values.
type encoder struct{ b []byte }

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }
func (e *encoder) u16(v uint16) { e.b = binary.LittleEndian.AppendUint16(e.b, v) }
func (e *encoder) u32(v uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *encoder) i64(v int64)  { e.u64(uint64(v)) }
func (e *encoder) str(s string) { e.u32(uint32(len(s))); e.raw(s) }
func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

func (e *encoder) section(tag uint16, body func()) {
	e.u16(tag)
	at := len(e.b)
	e.u32(0)
	body()
	binary.LittleEndian.PutUint32(e.b[at:], uint32(len(e.b)-at-4))
}

func list[T any](e *encoder, items []T, one func(T)) {
	e.u32(uint32(len(items)))
	for _, it := range items {
		one(it)
	}
}
