package mmapstate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

func printOf(t testing.TB, typ reflect.Type) string {
	t.Helper()
	print, err := FlatFingerprint(typ)
	if err != nil {
		t.Fatal(err)
	}
	return print
}

func shapeOf[T any](t testing.TB) *shape {
	t.Helper()
	s, err := parseShape(printOf(t, reflect.TypeFor[T]()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFingerprintsAreParsedBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		typ := randomFlat(r, 3)
		if typ.Size() > maxInline {
			continue
		}
		print := printOf(t, typ)
		s, err := parseShape(print)
		if err != nil || s.fingerprint() != print || uintptr(s.size) != typ.Size() {
			t.Fatalf("%s: %q, %v, read back as %q", typ, print, err, canonical(print))
		}
		e, err := evolve(s, s)
		if err != nil {
			t.Fatalf("%s to itself: %v", typ, err)
		}
		from, to := make([]byte, s.size), make([]byte, s.size)
		for i := range from {
			from[i] = byte(r.Uint32())
		}
		e.apply(to, from) // padding stays zero, so the values are compared
		if a, b := valueAt(typ, from), valueAt(typ, to); a != b {
			t.Fatalf("%s: %s has become %s", typ, a, b)
		}
	}
	for _, bad := range []string{"", "int64", "le:", "le:int", "le:[2]", "le:[9999999]int8", "le:[70000]int8", "le:{8;A@0+8:int64", "le:{8;A@4+8:int64}",
		"le:{8;A@0+4:int64}", "le:int64 ", "le:" + strings.Repeat("[1]", 100) + "int8", "le:[600]int8", "le:" + strings.Repeat("[500]", 5) + "{0}", "le:{4294967303;A@4294967295+8:int64}"} {
		if s, err := parseShape(bad); err == nil {
			t.Errorf("%q was read as %s", bad, s)
		}
	}
}

func valueAt(typ reflect.Type, b []byte) string {
	v := reflect.New(typ)
	copy(unsafe.Slice((*byte)(v.UnsafePointer()), typ.Size()), b)
	return fmt.Sprint(v.Elem())
}

func randomFlat(r *rand.Rand, deep int) reflect.Type {
	plain := []reflect.Type{
		reflect.TypeFor[bool](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int](),
		reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex128](),
	}
	switch x := r.IntN(4); {
	case deep == 0 || x == 0:
		return plain[r.IntN(len(plain))]
	case x == 1:
		return reflect.ArrayOf(r.IntN(4), randomFlat(r, deep-1))
	}
	var fields []reflect.StructField
	for i := range r.IntN(5) {
		fields = append(fields, reflect.StructField{Name: fmt.Sprint("F", i), Type: randomFlat(r, deep-1)})
	}
	return reflect.StructOf(fields)
}

func TestEvolveRefusals(t *testing.T) {
	type inner struct{ A, B int16 }
	type was struct {
		N    int32
		Rate float32
		In   inner
		Tab  [2]uint8
	}
	old := shapeOf[was](t)
	for _, tt := range []struct {
		now  *shape
		want string
	}{
		{shapeOf[struct {
			N    int32
			Rate float32
			In   inner
		}](t), "value.Tab is gone"},
		{shapeOf[struct {
			N    uint64
			Rate float32
			In   inner
			Tab  [2]uint8
		}](t), "value.N was int32 and has become uint64"},
		{shapeOf[struct {
			N    int16
			Rate float32
			In   inner
			Tab  [2]uint8
		}](t), "value.N was int32 and has become int16"},
		{shapeOf[struct {
			Rate float32
			N    int32
			In   inner
			Tab  [2]uint8
		}](t), "value.N has become Rate"},
		{shapeOf[struct {
			N    int32
			Rate float64
			In   struct{ A int16 }
			Tab  [2]uint8
		}](t), "value.In.B is gone"},
		{shapeOf[struct {
			N    int32
			Rate float64
			In   inner
			Tab  [3]uint8
		}](t), "value.Tab was [2]uint8 and has become [3]uint8"},
		{shapeOf[int32](t), "value was struct{N int32; Rate float32; In struct{A int16; B int16}; Tab [2]uint8} and has become int32"},
	} {
		if _, err := evolve(old, tt.now); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("to %s: %v, want %q", tt.now, err, tt.want)
		}
	}
	if _, err := FlatFingerprint(reflect.TypeFor[struct {
		A int `pagetide:"old=B"`
	}]()); err == nil {
		t.Error("a tag that means nothing was accepted")
	}
}

// What a value becomes, by every way that is open.
func TestEvolveMoves(t *testing.T) {
	type inner struct {
		A int8
		B float32
	}
	type was struct {
		Flag bool
		I    int16
		U    uint32
		In   [2]inner
		F    float64
	}
	type innerNow struct {
		A   int64
		B   float64
		New [3]uint16
	}
	type now struct {
		Flag  bool
		Count int64 `pagetide:"was=I"`
		U     uint64
		In    [2]innerNow
		F     float64
		More  struct{ X, Y int32 }
	}
	e, err := evolve(shapeOf[was](t), shapeOf[now](t))
	if err != nil {
		t.Fatal(err)
	}
	from := was{true, -300, 1<<32 - 1, [2]inner{{-5, 1.5}, {127, float32(math.Inf(-1))}}, math.Pi}
	var to now
	e.apply(bytesOf(unsafe.Pointer(&to), int(unsafe.Sizeof(to))), bytesOf(unsafe.Pointer(&from), int(unsafe.Sizeof(from))))
	want := now{Flag: true, Count: -300, U: 1<<32 - 1, F: math.Pi,
		In: [2]innerNow{{A: -5, B: 1.5}, {A: 127, B: math.Inf(-1)}}}
	if to != want {
		t.Errorf("%+v has become %+v, want %+v", from, to, want)
	}
	if print := printOf(t, reflect.TypeFor[now]()); !strings.Contains(print, "Count=I@") || strings.Contains(canonical(print), "=") {
		t.Errorf("fingerprint %q, without aliases %q", print, canonical(print))
	}
}
