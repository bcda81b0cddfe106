package mmapstate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// saved fills a store and gives back the checkpoint that holds it.
func saved(t testing.TB, opt mmapstate.Options, fill func(*mmapstate.Store)) *snapshotter.Checkpoint {
	t.Helper()
	dir, err := snapshotter.Open("/job", snapshotter.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	store := mmapstate.New(opt)
	defer store.Close()
	fill(store)
	if err := dir.Save(context.Background(), store, nil); err != nil {
		t.Fatal(err)
	}
	last, err := dir.Latest()
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// lines are the entries as JSON Lines.
func lines(entries func(func(mmapstate.Entry, error) bool)) string {
	var b strings.Builder
	for e, err := range entries {
		if err != nil {
			return b.String() + "error: " + err.Error()
		}
		b.Write(e.Append(nil))
		b.WriteByte('\n')
	}
	return b.String()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type (
	viewPoint struct {
		X, Y int16
		At   uint32
	}
	viewValue struct {
		On    bool
		Small int8
		Big   uint64
		F     float32
		G     [2]float64
		C     complex64
		Deep  struct{ Z int64 }
		_     [3]byte
	}
	viewRow struct {
		Name  string
		Tags  []string
		Raw   []byte
		Ratio float64
		Small float32
		By    map[int]bool
		Huge  *big.Int
		None  *int
		When  time.Time
	}
)

// upper is a codec that a view does not know.
type upper struct{}

func (upper) Name() string { return "upper" }
func (upper) Append(b []byte, v *string) ([]byte, error) {
	return append(b, strings.ToUpper(*v)...), nil
}
func (upper) Decode(b []byte, v *string) error { *v = strings.ToLower(string(b)); return nil }

func fillView(s *mmapstate.Store) {
	const second = int64(time.Second)
	s.SetTime(100*second, 200*second)
	plain := must(mmapstate.NewCellMap[viewPoint, viewValue](s, "plain"))
	*plain.Ref(viewPoint{-1, 2, 3}) = viewValue{On: true, Small: -5, Big: math.MaxUint64, F: 0.1,
		G: [2]float64{1e-7, math.Inf(-1)}, C: complex(1, -2.5), Deep: struct{ Z int64 }{math.MinInt64}}
	texts := must(mmapstate.NewValueMap[string, string](s, "texts"))
	for _, k := range []string{"b", "a\n\"", strings.Repeat("long", 20), "bad\xff"} {
		must(0, texts.Set(k, k))
	}
	must(0, must(mmapstate.NewValueMap[int64, []byte](s, "raw")).Set(-7, make([]byte, 5000)))
	rows := must(mmapstate.NewValueMap[[3]byte, viewRow](s, "rows"))
	must(0, rows.Set([3]byte{'J', 'F', 'K'}, viewRow{Name: "é", Tags: []string{"x", "y"}, Raw: []byte{1, 2}, Ratio: 2.5, Small: 0.1,
		By: map[int]bool{-1: true}, Huge: new(big.Int).Lsh(big.NewInt(-1), 70), When: time.Unix(0, 1).UTC()}))
	must(0, must(mmapstate.NewValueMap[bool, string](s, "coded", mmapstate.Encoded(upper{}))).Set(true, "abc"))
	*must(mmapstate.NewCellMap[uint8, int32](s, "mortal", mmapstate.TTL{After: time.Second})).Ref(9) = -9
	list := must(mmapstate.NewListMap[uint16, string](s, "list"))
	must(0, list.Append(1, "one"))
	must(0, list.Append(1, "two"))
	old := must(mmapstate.NewListMap[uint16, int16](s, "old", mmapstate.TTL{After: time.Hour, Clock: mmapstate.ProcessingTime}))
	must(0, old.Append(1, -1))
	s.SetTime(101*second, 201*second+5)
	must(0, old.Append(1, -2))
	nest := must(mmapstate.NewNestedMap[string, int32, viewPoint](s, "nest", mmapstate.TTL{After: time.Second}))
	must(0, nest.Put("k", 2, viewPoint{Y: 2}))
	must(0, nest.Put("k", 1, viewPoint{Y: 1}))
	deep := must(mmapstate.NewNestedMap[string, string, string](s, "deep"))
	must(0, deep.Put("k", "", "empty"))
	must(0, deep.Put("k", "field", "v"))
	fillWindows(s)
}

func fillWindows(s *mmapstate.Store) {
	keyer := must(mmapstate.NewKeyer[string](s.HashSeed(), s.KeyGroups()))
	accs := must(s.Cells("accs", keyer.Shape().With(), 8, "le:int64"))
	ends := must(s.Index("ends", keyer.Shape()))
	early := must(s.Index("early", keyer.Shape().With()))
	elements := must(s.Cells("elements", keyer.Shape().WithPair(), 8, "le:int64"))
	var buf []byte
	for n := range int64(4) {
		k := "k"
		*(*int64)(elements.Ref(keyer.Key(&k).WithPair(uint64(n/2), uint64(n%2), &buf))) = n
		early.Insert(keyer.Key(&k).With(uint64(n%2), &buf), n/2)
	}
	for _, start := range []int64{7e9, -1, 5} {
		for _, k := range []string{"k", "kk"} {
			key := keyer.Key(&k)
			*(*int64)(accs.Ref(key.With(uint64(start), &buf))) = start
			ends.Insert(key, start+1)
		}
	}
}

func TestView(t *testing.T) {
	last := saved(t, mmapstate.Options{KeyGroups: 1}, fillView)
	v, err := mmapstate.OpenView(last, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"plain": `{"key":{"X":-1,"Y":2,"At":3},"value":{"On":true,"Small":-5,"Big":18446744073709551615,"F":0.1,"G":[1e-7,"-Infinity"],"C":[1,-2.5],"Deep":{"Z":-9223372036854775808}}}`,
		"texts": `{"key":"a\n\"","value":"a\n\""}` + "\n" + `{"key":"b","value":"b"}` + "\n" + `{"key":{"base64":"YmFk/w=="},"value":{"base64":"YmFk/w=="}}` +
			"\n" + fmt.Sprintf(`{"key":"%[1]s","value":"%[1]s"}`, strings.Repeat("long", 20)),
		"raw": fmt.Sprintf(`{"key":-7,"value":"%s="}`, strings.Repeat("A", 6667)),
		"rows": `{"key":[74,70,75],"value":{"By":{"-1":true},"Raw":"AQI=","Huge":-1180591620717411303424,"Name":"é","None":null,` +
			`"Tags":["x","y"],"When":"1970-01-01T00:00:00.000000001Z","Ratio":2.5,"Small":0.1}}`,
		"coded":  `{"key":true,"value":{"codec":"upper","base64":"QUJD"}}`,
		"mortal": `{"key":9,"value":-9,"time":"1970-01-01T00:01:40Z"}`,
		"list":   `{"key":1,"value":["one","two"]}`,
		"old":    `{"key":1,"value":[-1,-2],"times":["1970-01-01T00:03:20Z","1970-01-01T00:03:21.000000005Z"]}`,
		"nest": `{"key":"k","value":{"1":{"X":0,"Y":1,"At":0},"2":{"X":0,"Y":2,"At":0}},` +
			`"times":{"1":"1970-01-01T00:01:41Z","2":"1970-01-01T00:01:41Z"}}`,
		"deep": `{"key":"k","value":{"":"empty","field":"v"}}`,
		"accs": `{"key":"k","start":"1969-12-31T23:59:59.999999999Z","value":-1}` + "\n" + `{"key":"k","start":"1970-01-01T00:00:00.000000005Z","value":5}` +
			"\n" + `{"key":"k","start":"1970-01-01T00:00:07Z","value":7000000000}` + "\n" + `{"key":"kk","start":"1969-12-31T23:59:59.999999999Z","value":-1}` +
			"\n" + `{"key":"kk","start":"1970-01-01T00:00:00.000000005Z","value":5}` + "\n" + `{"key":"kk","start":"1970-01-01T00:00:07Z","value":7000000000}`,
		"early": `{"time":"1970-01-01T00:00:00Z","key":"k","start":"1970-01-01T00:00:00Z"}` + "\n" +
			`{"time":"1970-01-01T00:00:00Z","key":"k","start":"1970-01-01T00:00:00.000000001Z"}` + "\n" +
			`{"time":"1970-01-01T00:00:00.000000001Z","key":"k","start":"1970-01-01T00:00:00Z"}` + "\n" +
			`{"time":"1970-01-01T00:00:00.000000001Z","key":"k","start":"1970-01-01T00:00:00.000000001Z"}`,
		"elements": `{"key":"k","start":"1970-01-01T00:00:00Z","value":0}` + "\n" + `{"key":"k","start":"1970-01-01T00:00:00Z","value":1}` + "\n" +
			`{"key":"k","start":"1970-01-01T00:00:00.000000001Z","value":2}` + "\n" + `{"key":"k","start":"1970-01-01T00:00:00.000000001Z","value":3}`,
		"ends": `{"time":"1970-01-01T00:00:00Z","key":"k"}` + "\n" + `{"time":"1970-01-01T00:00:00Z","key":"kk"}` + "\n" +
			`{"time":"1970-01-01T00:00:00.000000006Z","key":"k"}` + "\n" + `{"time":"1970-01-01T00:00:00.000000006Z","key":"kk"}` + "\n" +
			`{"time":"1970-01-01T00:00:07.000000001Z","key":"k"}` + "\n" + `{"time":"1970-01-01T00:00:07.000000001Z","key":"kk"}`,
	}
	if len(v.States()) != len(want) {
		t.Errorf("%d states, want %d", len(v.States()), len(want))
	}
	for _, s := range v.States() {
		if got := lines(s.All(t.Context(), nil)); got != want[s.Name]+"\n" {
			t.Errorf("%s:\n%s\nwant\n%s", s.Name, got, want[s.Name])
		}
	}
	v = must(mmapstate.OpenView(last, 0, mmapstate.DecoderOf(upper{})))
	if got := lines(v.State("coded").All(t.Context(), nil)); got != `{"key":true,"value":"abc"}`+"\n" {
		t.Errorf("decoded: %s", got)
	}
	if v.State("list.items") != nil || v.State("deep.order") != nil || v.State("x") != nil {
		t.Error("parts of states are states")
	}
	if s := v.State("nest"); s.Key != "string" || s.Kind != mmapstate.ViewMap || s.Entries != 1 {
		t.Errorf("nest is %+v", s)
	}
}

func TestViewGet(t *testing.T) {
	last := saved(t, mmapstate.Options{KeyGroups: 16}, fillView)
	v := must(mmapstate.OpenView(last, 0))
	for _, tt := range []struct{ state, key, want string }{
		{"plain", `{"X":-1,"Y":2,"At":3}`, `{"key":{"X":-1,"Y":2,"At":3},`},
		{"plain", `{"X":-1,"Y":2}`, ``},
		{"plain", `{"X":-1,"Q":2}`, `error: key of state "plain": "{\"X\":-1,\"Q\":2}" is no struct{X int16; Y int16; At uint32}: it has fields that`},
		{"plain", `{"X":40000}`, `error: key of state "plain": "{\"X\":40000}" is no struct{X int16; Y int16; At uint32}: X: 40000 is out of range`},
		{"plain", `[1]`, `error: `},
		{"texts", `b`, `{"key":"b",`},
		{"texts", `"b"`, `{"key":"b",`},
		{"texts", `"a\n\""`, `{"key":"a\n\"",`},
		{"texts", `{"base64":"YmFk/w=="}`, `{"key":{"base64":"YmFk/w=="},`},
		{"texts", `c`, ``},
		{"raw", `-7`, `{"key":-7,`},
		{"raw", `-7.5`, `error: `},
		{"raw", `7 8`, `error: `},
		{"rows", `JFK`, `{"key":[74,70,75],`},
		{"rows", `[74,70,75]`, `{"key":[74,70,75],`},
		{"rows", `[74,70]`, `error: `},
		{"coded", `true`, `{"key":true,`},
		{"coded", `false`, ``},
		{"coded", `1`, `error: `},
		{"mortal", `9`, `{"key":9,"value":-9`},
		{"list", `1`, `{"key":1,"value":["one","two"]}`},
		{"nest", `k`, `{"key":"k","value":{"1":`},
		{"accs", `k`, `{"key":"k","start":"1969-12-31T23:59:59.999999999Z","value":-1}`},
		{"ends", `kk`, `{"time":"1970-01-01T00:00:00Z","key":"kk"}`},
	} {
		got := lines(v.State(tt.state).Get(tt.key))
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s of %s: %s, want %s", tt.key, tt.state, got, tt.want)
		}
		if n := strings.Count(got, "\n"); (tt.state == "accs" || tt.state == "ends") && n != 3 {
			t.Errorf("%s of %s: %d lines, want 3", tt.key, tt.state, n)
		}
	}
}

// A state whose values only the program knows is named, not guessed at; a checkpoint that is damaged is said to be.
func TestViewRefuses(t *testing.T) {
	last := saved(t, mmapstate.Options{}, func(s *mmapstate.Store) {
		keyer := must(mmapstate.NewKeyer[string](s.HashSeed(), s.KeyGroups()))
		k := "k"
		must(s.Cells("odd", keyer.Shape(), 8, "own type")).Ref(keyer.Key(&k))
		must(s.Bytes("keys", mmapstate.KeyShape{Fingerprint: "own key"}, "string"))
		must(0, must(s.Bytes("good", keyer.Shape(), "string")).Put(keyer.Key(&k), []byte("v")))
	})
	v := must(mmapstate.OpenView(last, 0))
	for _, name := range []string{"odd", "keys"} {
		for _, err := range v.State(name).All(t.Context(), nil) {
			if !errors.Is(err, meta.ErrIncompatible) || !strings.Contains(err.Error(), "own") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := mmapstate.OpenView(otherHash{last}, 0); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("other hash: %v", err)
	}
	v = must(mmapstate.OpenView(spoilt{last}, 0))
	for _, entries := range []func(func(mmapstate.Entry, error) bool){v.State("good").All(t.Context(), nil), v.State("good").Get("k")} {
		n := 0
		for _, err := range entries {
			if n++; !errors.Is(err, meta.ErrDamaged) {
				t.Errorf("spoilt: %v", err)
			}
		}
		if n != 1 {
			t.Errorf("spoilt: %d steps", n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range v.State("good").All(ctx, nil) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

type otherHash struct{ meta.Loader }

func (otherHash) Hash() (string, uint64, int) { return "other", 0, 128 }

// spoilt has pages of a kind that does not exist.
type spoilt struct{ meta.Loader }

func (l spoilt) Load(ctx context.Context, s meta.ShardID, p meta.PageNo, dst []byte) error {
	err := l.Loader.Load(ctx, s, p, dst)
	dst[0] = 0x77
	return err
}

// A view gives every entry, once and in order, and tells how far it is.
func TestViewOfMany(t *testing.T) {
	const n = 20_000
	last := saved(t, mmapstate.Options{KeyGroups: 8}, func(s *mmapstate.Store) {
		counts := must(mmapstate.NewCellMap[uint64, uint64](s, "counts"))
		for i := range uint64(n) {
			*counts.Ref(i) = i * i
		}
	})
	counts := must(mmapstate.OpenView(last, 0)).State("counts")
	seen, calls, end := map[uint64]bool{}, 0, int64(0)
	var before mmapstate.Entry
	for e, err := range counts.All(t.Context(), func(done, total int64) { calls, end = calls+1, total-done }) {
		if err != nil {
			t.Fatal(err)
		}
		var k uint64
		fmt.Sscan(string(e.Key), &k)
		if want := fmt.Sprint(k * k); seen[k] || string(e.Value) != want {
			t.Fatalf("key %d: %s, seen before: %v", k, e.Value, seen[k])
		}
		if seen[k] = true; len(seen) > 1 && before.Compare(e) >= 0 {
			t.Fatalf("%s after %s", e.Key, before.Key)
		}
		before = e
	}
	if len(seen) != n || calls != 8 || end != 0 || counts.Entries != n {
		t.Errorf("%d entries of %d, %d calls, %d pages left, %d counted", len(seen), n, calls, end, counts.Entries)
	}
	for range counts.All(t.Context(), nil) {
		break
	}
	skipped := 0
	for range counts.AllBut(t.Context(), func(g meta.KeyGroup) bool { return g != 3 }, nil) {
		skipped++
	}
	if skipped == 0 || skipped > n/4 {
		t.Errorf("one key group has %d of %d", skipped, n)
	}
}

func ExampleView() {
	store := mmapstate.New(mmapstate.Options{})
	counts, _ := mmapstate.NewCellMap[string, struct{ N, Bytes int64 }](store, "counts")
	counts.Ref("tide").N = 3
	dir, _ := snapshotter.Open("/counts", snapshotter.Options{FS: vfs.NewMem()})
	defer dir.Close()
	dir.Save(context.Background(), store, nil)
	store.Close()

	last, err := dir.Latest() // or snapshotter.Load, of any path
	if err != nil {
		fmt.Println(err)
		return
	}
	view, err := mmapstate.OpenView(last, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for e, err := range view.State("counts").Get("tide") {
		fmt.Printf("%s %v\n", e.Append(nil), err)
	}
	// Output: {"key":"tide","value":{"N":3,"Bytes":0}} <nil>
}
