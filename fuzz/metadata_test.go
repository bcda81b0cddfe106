package fuzz

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime/metrics"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/meta"
)

// allocated is how much the process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// bounded fails a test whose work on hostile bytes allocates more than a multiple of their number.
func bounded(t *testing.T, bytes int, work func()) {
	t.Helper()
	before := allocated()
	work()
	if used, limit := allocated()-before, uint64(8<<20+256*bytes); used > limit {
		t.Fatalf("%d bytes made it allocate %d, more than %d", bytes, used, limit)
	}
}

// FuzzMetadata decodes bytes as they are, and again with a frame that is right: the checksum alone would keep the fuzzer
// out. What was understood says the same when it is written and read again.
func FuzzMetadata(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, framed(b)} {
			bounded(t, len(b), func() { roundTrip(t, b) })
		}
	})
}

func roundTrip(t *testing.T, b []byte) {
	t.Helper()
	m, err := meta.Decode("m", b)
	if err != nil {
		var damage *meta.DamageError
		if !errors.As(err, &damage) && !errors.Is(err, meta.ErrVersion) {
			t.Fatalf("untyped error %v", err)
		}
		return
	}
	written := m.Encode()
	again, err := meta.Decode("m", written)
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Fatalf("read, written and read: %v\n%+v\n%+v", err, m, again)
	}
	if string(again.Encode()) != string(written) {
		t.Fatalf("equal metadata, different bytes: %+v", m)
	}
}

// framed puts magic, version, size and checksum in place, as FORMAT.md says.
func framed(b []byte) []byte {
	const header = 8 + 4 + 8
	out := binary.LittleEndian.AppendUint32([]byte("PTMETA\r\n"), meta.Version)
	out = append(out, make([]byte, 8)...) // the size
	if len(b) > header {
		out = append(out, b[header:max(header, len(b)-8)]...)
	}
	binary.LittleEndian.PutUint64(out[12:], uint64(len(out)+8))
	return binary.LittleEndian.AppendUint64(out, xxhash.Sum64(out))
}

func TestCorpusOfMetadata(t *testing.T) {
	corpus(t, "FuzzMetadata", 40, func(r *rand.Rand) []byte {
		b := randomMetadata(r).Encode()
		for range r.IntN(4) { // some are damaged
			switch at := r.IntN(len(b)); r.IntN(4) {
			case 0:
				b = b[:at]
			case 1:
				b[at] ^= 1 << r.IntN(8)
			case 2:
				binary.LittleEndian.PutUint32(append(b, make([]byte, 4)...)[at:], math.MaxUint32)
			}
			if len(b) == 0 {
				break
			}
		}
		return b
	})
}

func randomMetadata(r *rand.Rand) *meta.Metadata {
	text := func() string { return textOf(r.Uint64N(100), r.IntN(9)) }
	m := &meta.Metadata{
		Job: meta.JobID(r.Uint64()), Name: text(), ID: meta.CheckpointID(r.Uint64N(99)), Attempt: 1, Created: int64(r.Uint64()),
		HashName: text(), HashSeed: r.Uint64(), KeyGroups: uint16(1 + r.IntN(8)), Sweep: meta.Hand{Turn: r.Uint32(), Shard: meta.ShardID(r.Uint32()), Page: meta.PageNo(r.Uint32())}, Owed: r.Uint64(),
	}
	for range r.IntN(3) {
		m.Args = append(m.Args, text())
		m.Files = append(m.Files, meta.DataFile{Name: fmt.Sprint(len(m.Files), ".", text(), ".delta"), Checkpoint: 7, Size: 900, RootOffset: 800, RootSize: 100, RootHash: r.Uint64()})
		m.Sources = append(m.Sources, meta.Source{UID: text(), Splits: []meta.Split{{ID: text(), Position: text(), MaxTime: r.Int64(), Done: r.IntN(2) == 0}}})
		m.Sinks = append(m.Sinks, meta.Sink{UID: text(), Txns: []meta.Txn{{Checkpoint: 3, Subtask: 2, Handle: []byte(text())}}})
	}
	if r.IntN(4) == 0 {
		m.Embedded = []byte(text() + "pages")
		m.Files = []meta.DataFile{{Checkpoint: m.ID, Size: int64(len(m.Embedded)), RootOffset: 3, RootSize: 2, RootHash: r.Uint64()}}
	}
	if r.IntN(2) == 0 {
		m.Notes = map[string]string{text(): text(), text(): text()}
	}
	for no := range meta.OperatorNo(r.IntN(3)) {
		m.Operators = append(m.Operators, meta.Operator{
			No: no, UID: text(), Kind: text(), Fingerprint: text(), Parallelism: 2, Watermark: r.Int64(),
			States:     []meta.State{{No: 0, Kind: meta.KindIndex, Name: text(), Key: text()}},
			Watermarks: []meta.GroupWatermark{{First: 0, Time: r.Int64()}}[:r.IntN(2)],
			Shards:     []meta.Shard{{ID: meta.MakeShardID(no, 0), Pages: r.Uint32(), States: []meta.ShardState{{No: 0, Entries: r.Uint64(), Earliest: r.Int64()}}}},
		})
	}
	return m
}
