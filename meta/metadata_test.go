package meta_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/meta"
)

var update = flag.Bool("update", false, "write the golden files of a new version")

// full has a value in every field.
func full() *meta.Metadata {
	return &meta.Metadata{
		Job: 0x0123456789abcdef, Name: "flights", ID: 42, Attempt: 3, Created: 1_700_000_000_000_000_000,
		Args:     []string{"--input", "flights.csv"},
		Notes:    map[string]string{"b": "2", "a": "1"},
		HashName: "xxh64", HashSeed: 7, KeyGroups: 128, Sweep: meta.Hand{Turn: 2, Shard: meta.MakeShardID(1, 127), Page: 9}, Owed: 99,
		Files: []meta.DataFile{
			{Name: "a.delta", Checkpoint: 41, Size: 1000, RootOffset: 900, RootSize: 100, RootHash: 0xfeed, Hand: meta.Hand{Turn: 1, Shard: meta.MakeShardID(1, 0), Page: 4}},
			{Name: "b.delta", Checkpoint: 42, Size: 200, RootOffset: 150, RootSize: 50, RootHash: 0xbeef},
		},
		Operators: []meta.Operator{{
			No: 1, UID: "per-origin", Kind: "window", Fingerprint: "tumble 1h", Parallelism: 4, Watermark: math.MinInt64,
			States:     []meta.State{{No: 0, Kind: meta.KindCell, Name: "n", Key: "u64", Type: "i64"}, {No: 1, Kind: meta.KindIndex, Name: "timers"}},
			Watermarks: []meta.GroupWatermark{{First: 0, Time: 8}, {First: 64, Time: math.MinInt64}},
			Shards: []meta.Shard{
				{ID: meta.MakeShardID(1, 0), Pages: 3, States: []meta.ShardState{{No: 0, Entries: 5}, {No: 1, Entries: 1, Earliest: -1}}},
				{ID: meta.MakeShardID(1, 127), Pages: 1},
			},
		}},
		Sources: []meta.Source{{UID: "csv", Splits: []meta.Split{{ID: "flights.csv", Position: "1234", MaxTime: 5, Done: true}}}},
		Sinks:   []meta.Sink{{UID: "out", Txns: []meta.Txn{{Checkpoint: 42, Subtask: 2, Handle: []byte("part-2")}}}},
	}
}

// embedded is metadata that holds its pages itself.
func embedded() *meta.Metadata {
	m := full()
	m.Embedded = []byte("the bytes of a delta file")
	m.Files = []meta.DataFile{{Checkpoint: 42, Size: 25, RootOffset: 20, RootSize: 5, RootHash: 0xbeef}}
	return m
}

func TestEmbedded(t *testing.T) {
	want := embedded()
	b := want.Encode()
	got, err := meta.Decode("m", b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Decode = %+v, %v, want %+v", got, err, want)
	}
	everyBitFlipped(t, b)
}

func TestGolden(t *testing.T) {
	file := filepath.Join("testdata", fmt.Sprintf("v%d", meta.Version), "_metadata")
	b := full().Encode()
	if *update {
		if err := writeNew(file, b); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, b) {
		t.Errorf("the encoding of version %d has changed, which must not be", meta.Version)
	}
	got, err := meta.Decode(file, golden)
	if err != nil {
		t.Fatal(err)
	}
	if want := full(); !reflect.DeepEqual(got, want) {
		t.Errorf("Decode = %+v, want %+v", got, want)
	}
}

// writeNew writes a file that is not there yet: the bytes of a version stay as they are for ever.
func writeNew(file string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func TestEveryBitFlipped(t *testing.T) { everyBitFlipped(t, full().Encode()) }

func everyBitFlipped(t *testing.T, b []byte) {
	t.Helper()
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			_, err := meta.Decode("m", c)
			var damage *meta.DamageError
			if !errors.As(err, &damage) || damage.File != "m" || damage.Offset > int64(i) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
	}
	for n := range b {
		if _, err := meta.Decode("m", b[:n]); !errors.Is(err, meta.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := meta.Decode("m", append(bytes.Clone(b), 0)); !errors.Is(err, meta.ErrDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

// reseal makes size and checksum right again, as a forger would.
func reseal(b []byte) []byte {
	if len(b) < 28 {
		return b
	}
	copy(b, "PTMETA\r\n")
	binary.LittleEndian.PutUint64(b[12:], uint64(len(b)))
	binary.LittleEndian.PutUint64(b[len(b)-8:], xxhash.Sum64(b[:len(b)-8]))
	return b
}

func TestNewerVersionIsNotDamage(t *testing.T) {
	b := full().Encode()
	b[8] = 9
	if _, err := meta.Decode("m", reseal(b)); !errors.Is(err, meta.ErrVersion) || errors.Is(err, meta.ErrDamaged) {
		t.Errorf("version 9: %v, want ErrVersion", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*meta.Metadata)
	}{
		{"name with a separator", func(m *meta.Metadata) { m.Files[0].Name = "../a" }},
		{"hidden name", func(m *meta.Metadata) { m.Files[0].Name = ".a" }},
		{"empty name", func(m *meta.Metadata) { m.Files[0].Name = "" }},
		{"a file twice", func(m *meta.Metadata) { m.Files[1].Name = m.Files[0].Name }},
		{"root beyond the end", func(m *meta.Metadata) { m.Files[0].RootSize = 101 }},
		{"negative size", func(m *meta.Metadata) { m.Files[0].Size = -1 }},
		{"root overflows", func(m *meta.Metadata) { m.Files[0].RootOffset = math.MaxInt64 }},
		{"too many key groups", func(m *meta.Metadata) { m.KeyGroups = meta.MaxKeyGroups + 1 }},
		{"key group out of range", func(m *meta.Metadata) { m.Operators[0].Shards[1].ID = meta.MakeShardID(1, 128) }},
		{"shard of another operator", func(m *meta.Metadata) { m.Operators[0].Shards[1].ID = meta.MakeShardID(2, 1) }},
		{"shards out of order", func(m *meta.Metadata) { slices.Reverse(m.Operators[0].Shards) }},
		{"pages that no file describes", func(m *meta.Metadata) { m.Embedded = []byte("pages") }},
		{"pages beside data files", func(m *meta.Metadata) { *m, m.Files = *embedded(), append(embedded().Files, m.Files[0]) }},
		{"pages of another size", func(m *meta.Metadata) { *m = *embedded(); m.Files[0].Size++ }},
		{"pages that have a name", func(m *meta.Metadata) { *m = *embedded(); m.Files[0].Name = "a" }},
		{"no pages", func(m *meta.Metadata) { *m = *embedded(); m.Embedded = nil }},
		{"watermarks from the middle on", func(m *meta.Metadata) { m.Operators[0].Watermarks[0].First = 1 }},
		{"watermarks out of order", func(m *meta.Metadata) { m.Operators[0].Watermarks[1].First = 0 }},
		{"watermark of no key group", func(m *meta.Metadata) { m.Operators[0].Watermarks[1].First = 128 }},
		{"operator twice", func(m *meta.Metadata) { m.Operators = append(m.Operators, m.Operators[0]) }},
	}
	for _, tt := range tests {
		m := full()
		tt.change(m)
		if _, err := meta.Decode("m", m.Encode()); !errors.Is(err, meta.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", tt.name, err)
		}
	}
}

// A forged file is refused or understood; it never panics, and a count never allocates.
func TestForged(t *testing.T) {
	b := full().Encode()
	for i := 20; i < len(b)-8; i++ {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] = v
			forged(t, reseal(c))
		}
		if i+4 < len(b)-8 {
			c := bytes.Clone(b)
			binary.LittleEndian.PutUint32(c[i:], math.MaxUint32)
			forged(t, reseal(c))
		}
	}
}

// forged checks that what was understood says the same when it is written and read again.
func forged(t testing.TB, b []byte) {
	t.Helper()
	m, err := meta.Decode("m", b)
	if err != nil {
		if !errors.Is(err, meta.ErrDamaged) && !errors.Is(err, meta.ErrVersion) {
			t.Fatalf("untyped error %v", err)
		}
		return
	}
	again, err := meta.Decode("m", m.Encode())
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Fatalf("read, written and read: %v\n%+v\n%+v", err, m, again)
	}
}

func TestRandomRoundTrip(t *testing.T) {
	for seed := range uint64(300) {
		want := random(rand.New(rand.NewPCG(seed, 0)))
		b := want.Encode()
		got, err := meta.Decode("m", b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: Decode = %+v, want %+v", seed, got, want)
		}
		if !bytes.Equal(got.Encode(), b) {
			t.Fatalf("seed %d: equal metadata, different bytes", seed)
		}
	}
}

func random(r *rand.Rand) *meta.Metadata {
	str := func() string {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	m := &meta.Metadata{
		Job: meta.JobID(r.Uint64()), Name: str(), ID: meta.CheckpointID(r.Uint64()), Attempt: meta.Attempt(r.Uint32()),
		Created: int64(r.Uint64()), HashName: str(), HashSeed: r.Uint64(), KeyGroups: uint16(1 + r.IntN(meta.MaxKeyGroups)), Sweep: meta.Hand{Turn: r.Uint32(), Shard: meta.ShardID(r.Uint32()), Page: meta.PageNo(r.Uint32())}, Owed: r.Uint64(),
	}
	for range r.IntN(3) {
		m.Args = append(m.Args, str())
		if m.Notes == nil {
			m.Notes = map[string]string{}
		}
		m.Notes[str()] = str()
	}
	for i := range r.IntN(4) {
		size := r.Int64N(1 << 50)
		m.Files = append(m.Files, meta.DataFile{
			Name: fmt.Sprintf("f-%d.delta", i), Checkpoint: meta.CheckpointID(r.Uint64()),
			Size: size, RootOffset: size / 2, RootSize: size / 4, RootHash: r.Uint64(),
			Hand: meta.Hand{Turn: r.Uint32(), Shard: meta.ShardID(r.Uint32()), Page: meta.PageNo(r.Uint32())},
		})
	}
	for no := range meta.OperatorNo(r.IntN(4)) {
		m.Operators = append(m.Operators, randomOperator(r, no, int(m.KeyGroups), str))
	}
	for range r.IntN(3) {
		s := meta.Source{UID: str()}
		for range r.IntN(3) {
			s.Splits = append(s.Splits, meta.Split{ID: str(), Position: str(), MaxTime: int64(r.Uint64()), Done: r.IntN(2) == 0})
		}
		m.Sources = append(m.Sources, s)
		k := meta.Sink{UID: str()}
		for range r.IntN(3) {
			k.Txns = append(k.Txns, meta.Txn{Checkpoint: meta.CheckpointID(r.Uint64()), Subtask: uint16(r.Uint32()), Handle: []byte(str())})
		}
		m.Sinks = append(m.Sinks, k)
	}
	return m
}

func randomOperator(r *rand.Rand, no meta.OperatorNo, groups int, str func() string) meta.Operator {
	o := meta.Operator{No: no, UID: str(), Kind: str(), Fingerprint: str(), Parallelism: uint16(r.Uint32()), Watermark: int64(r.Uint64())}
	for i := range r.IntN(3) {
		o.States = append(o.States, meta.State{No: uint16(i), Kind: meta.StateKind(1 + r.IntN(3)), Name: str(), Key: str(), Type: str()})
	}
	for g := 0; g < min(groups, r.IntN(4)); g++ {
		o.Watermarks = append(o.Watermarks, meta.GroupWatermark{First: meta.KeyGroup(g), Time: int64(r.Uint64())})
	}
	for g := 0; g < groups; g += 1 + r.IntN(64) {
		s := meta.Shard{ID: meta.MakeShardID(no, meta.KeyGroup(g)), Pages: r.Uint32()}
		for i := range o.States {
			s.States = append(s.States, meta.ShardState{No: uint16(i), Entries: r.Uint64(), Earliest: int64(r.Uint64())})
		}
		o.Shards = append(o.Shards, s)
	}
	return o
}

// FuzzDecode repairs size and checksum, or the checksum alone would keep the fuzzer out.
func FuzzDecode(f *testing.F) {
	f.Add(full().Encode())
	f.Add((&meta.Metadata{}).Encode())
	f.Add([]byte("PTMETA\r\n"))
	for seed := range uint64(8) {
		f.Add(random(rand.New(rand.NewPCG(seed, 1))).Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		meta.Decode("m", b)
		forged(t, reseal(bytes.Clone(b)))
	})
}
