package mmapstate

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

type userID string

type pair struct {
	A uint32
	B [4]byte
}

func keyRoundTrip[K comparable](t *testing.T, keys ...K) {
	t.Helper()
	k, err := NewKeyer[K](7, 128)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		v := k.Key(&key)
		if got := k.Decode(v.Bytes); got != key {
			t.Errorf("Decode(Key(%v)) = %v", key, got)
		}
		if v.Group >= 128 || v.Hash != hashKey(v.Bytes, k.Fixed() > 0, 7) {
			t.Errorf("Key(%v) = %v", key, v)
		}
	}
}

func TestKeyer(t *testing.T) {
	keyRoundTrip(t, "", "a", "a longer one that is not inline")
	keyRoundTrip(t, userID("u"), userID(""))
	keyRoundTrip[uint64](t, 0, 1, 1<<63)
	keyRoundTrip[int8](t, -1, 7)
	keyRoundTrip(t, true, false)
	keyRoundTrip(t, [20]byte{1, 2}, [20]byte{})
	keyRoundTrip(t, pair{1, [4]byte{2}}, pair{})
}

func TestKeyerRefusals(t *testing.T) {
	type gap struct {
		A uint8
		B uint32
	}
	type tail struct {
		A uint64
		B uint8
	}
	type inner struct{ F float64 }
	type ptr struct{ P *int }
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"gap", second(NewKeyer[gap](1, 1)), "Pad [3]byte"},
		{"tail", second(NewKeyer[tail](1, 1)), "7 bytes of padding after B"},
		{"float", second(NewKeyer[struct{ In inner }](1, 1)), "In.F is a float64"},
		{"pointer", second(NewKeyer[ptr](1, 1)), "ptr.P is a *int"},
		{"slice", second(NewKeyer[[]byte](1, 1)), "not flat"},
		{"empty", second(NewKeyer[struct{}](1, 1)), "no bytes"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", tt.name, tt.err, tt.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFlatFingerprint(t *testing.T) {
	type point struct {
		X int32
		Y float64
	}
	got, err := FlatFingerprint(reflect.TypeFor[point]())
	if want := "le:{16;X@0+4:int32;Y@8+8:float64}"; err != nil || got != want {
		t.Errorf("FlatFingerprint = %q, %v, want %q", got, err, want)
	}
	for _, tt := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[struct{ At time.Time }](), "At is a time.Time, which holds a pointer: use engine.Time"},
		{reflect.TypeFor[struct{ In struct{ Name string } }](), "In.Name is a string"},
		{reflect.TypeFor[[513]byte](), "at most 512"},
	} {
		if _, err := FlatFingerprint(tt.typ); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("FlatFingerprint(%v): %v, want %q in it", tt.typ, err, tt.want)
		}
	}
}

func TestWithKeepsTheGroup(t *testing.T) {
	k, err := NewKeyer[string](1, 64)
	if err != nil {
		t.Fatal(err)
	}
	name, scratch := "flights", []byte(nil)
	a := k.Key(&name)
	b := a.With(1, &scratch)
	hash := b.Hash
	c := a.With(2, &scratch)
	if b.Group != a.Group || c.Group != a.Group || hash == a.Hash || hash == c.Hash {
		t.Errorf("%v, %v, %v", a, b, c)
	}
	shape := k.Shape().With()
	if shape.Fixed != 0 || shape.Suffix != 8 || shape.Fingerprint != "string+u64" {
		t.Errorf("shape %+v", shape)
	}
}

func TestGroupsAreEven(t *testing.T) {
	k, err := NewKeyer[uint64](1, 128)
	if err != nil {
		t.Fatal(err)
	}
	var n [128]int
	for i := range uint64(128_000) {
		n[k.Key(&i).Group]++
	}
	for g, c := range n {
		if c < 800 || c > 1200 {
			t.Errorf("group %d has %d of 1000 expected keys", g, c)
		}
	}
}
