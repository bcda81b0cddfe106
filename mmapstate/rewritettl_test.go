package mmapstate

import (
	"fmt"
	"testing"
)

// evolved is a state before and after its declaration with another TTL, another type, or both.
type evolved struct {
	was, is TTL
	grows   bool // int32 becomes int64
}

// A type and a TTL may change at once. On the same clock an entry's time goes on; else its life begins anew, when it is
// first looked at; without a TTL it has no end.
func TestTypeAndTTLChangeTogether(t *testing.T) {
	ttls := []TTL{{}, {After: 100}, {After: 200}, {After: 100, Clock: ProcessingTime}}
	for _, was := range ttls {
		for _, is := range ttls {
			for _, grows := range []bool{false, true} {
				e := evolved{was, is, grows}
				t.Run(fmt.Sprintf("%s%d to %s%d, grows %v", was.mark(), was.After, is.mark(), is.After, grows), func(t *testing.T) {
					evolvedKeys(t, e, func(i int) uint32 { return uint32(i) }) // a wider value moves behind such a key
					evolvedKeys(t, e, func(i int) string { return orderKey(uint64(i)) })
				})
			}
		}
	}
}

func evolvedKeys[K comparable](t *testing.T, e evolved, key func(int) K) {
	c := &chain{}
	s := New(Options{KeyGroups: 2, HashSeed: 5})
	defer func() { s.Close() }()
	m := mustMap[K, int32](t, s, "m", e.was)
	const old, late, start = 1000, 1050, 1060
	for i := range 2000 {
		if i%2 == 0 {
			s.clocks.now = [2]int64{old, old}
		} else {
			s.clocks.now = [2]int64{late, late}
		}
		m.Set(key(i), int32(-i))
	}
	commitTo(t, s, c)
	s.Close()
	var err error
	if s, err = Open(Options{}, c); err != nil {
		t.Fatal(err)
	}
	s.SetTime(start, start)
	get, size := evolvedState[K](t, s, e)
	if changes := e.grows || e.was.mark() != e.is.mark(); changes != (len(s.Rewrites()) == 1) {
		t.Errorf("rewrites %+v", s.Rewrites())
	}
	s.Expire(10_000)
	for _, now := range []int64{start, 1099, 1100, 1149, 1150, 1159, 1160, 1199, 1200, 1249, 1250, 1300} {
		s.SetTime(now, now)
		for i := range 2000 {
			began := int64(start)
			if e.was.mark() == e.is.mark() {
				began = []int64{old, late}[i%2]
			}
			alive := e.is.After == 0 || now < began+int64(e.is.After)
			if v, ok := get(key(i)); ok != alive || alive && v != int64(-i) {
				t.Fatalf("%v at %d: %d, alive %v, want %v", key(i), now, v, ok, alive)
			}
		}
	}
	s.Expire(10_000)
	if left := size(); left != 0 && e.is.After != 0 || left != 2000 && e.is.After == 0 {
		t.Errorf("%d entries are left", left)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// evolvedState declares the state anew.
func evolvedState[K comparable](t *testing.T, s *Store, e evolved) (get func(K) (int64, bool), size func() int) {
	if e.grows {
		m := mustMap[K, int64](t, s, "m", e.is)
		return m.Get, m.Len
	}
	m := mustMap[K, int32](t, s, "m", e.is)
	return func(k K) (int64, bool) {
		v, ok := m.Get(k)
		return int64(v), ok
	}, m.Len
}
