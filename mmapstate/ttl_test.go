package mmapstate

import (
	"maps"
	"math"
	"slices"
	"testing"
)

func TestEntriesExpireOnTheirClock(t *testing.T) {
	s := newStoreFor(t)
	event := must(NewCellMap[uint64, int64](s, "event", TTL{After: 10}))
	machine := must(NewCellMap[uint64, int64](s, "machine", TTL{After: 10, Clock: ProcessingTime}))
	s.SetTime(100, 1000)
	event.Set(1, 7)
	machine.Set(1, 7)
	s.SetTime(109, 1009)
	if _, ok := event.Get(1); !ok {
		t.Error("expired before its time")
	}
	s.SetTime(110, 1009)
	if _, ok := event.Get(1); ok {
		t.Error("alive at the end of its time")
	}
	if _, ok := machine.Get(1); !ok {
		t.Error("expired on the other clock")
	}
	s.SetTime(105, 1010) // event time does not fall
	if _, ok := event.Get(1); ok {
		t.Error("time fell")
	}
	if p := event.Ref(1); *p != 0 {
		t.Errorf("expired value came back as %d", *p)
	}
	if event.Delete(1) != true || machine.Delete(1) != false {
		t.Error("Delete of what is alive, and of what has expired")
	}
}

// A record may be far ahead of the watermark, because another input is behind.
func TestLivesBeginAtTheTimeOfTheRecord(t *testing.T) {
	s := newStoreFor(t)
	event := must(NewCellMap[uint64, int64](s, "event", TTL{After: 10}))
	machine := must(NewCellMap[uint64, int64](s, "machine", TTL{After: 10, Clock: ProcessingTime}))
	list := must(NewListMap[uint64, int64](s, "list", TTL{After: 10}))
	s.SetRecordTime(130) // before there is a watermark
	event.Set(1, 7)
	s.SetTime(100, 1000)
	s.SetRecordTime(120)
	event.Set(1, 8) // an earlier record does not shorten the life
	event.Set(2, 7)
	machine.Set(1, 7)
	list.Append(1, 120)
	s.SetRecordTime(90)
	event.Set(3, 7) // late: the watermark counts
	list.Append(1, 90)
	s.SetRecordTime(math.MinInt64)
	event.Set(4, 7)
	for _, c := range []struct {
		now     int64
		event   int64
		machine bool
		list    int
	}{{109, 4, true, 2}, {110, 2, false, 2}, {129, 2, false, 2}, {130, 1, false, 0}, {139, 1, false, 0}, {140, 0, false, 0}} {
		s.SetTime(c.now, c.now+900)
		got := int64(0)
		for range event.All() {
			got++
		}
		if _, ok := machine.Get(1); got != c.event || ok != c.machine || list.Len(1) != c.list {
			t.Errorf("at %d: %d entries, %v on the other clock, list of %d; want %+v", c.now, got, ok, list.Len(1), c)
		}
	}
}

func TestRenewals(t *testing.T) {
	s := newStoreFor(t)
	written := must(NewValueMap[uint64, string](s, "written", TTL{After: 10}))
	read := must(NewValueMap[uint64, string](s, "read", TTL{After: 10, Renew: OnReadAndWrite}))
	list := must(NewListMap[uint64, string](s, "list", TTL{After: 10, Renew: OnReadAndWrite}))
	s.SetTime(0, 0)
	written.Set(1, "a")
	read.Set(1, "a")
	list.Append(1, "a")
	for now := int64(0); now < 100; now += 9 {
		s.SetTime(now, 0)
		_, ok := written.Get(1)
		if _, renewed := read.Get(1); ok != (now < 10) || !renewed || list.Len(1) != 1 {
			t.Errorf("at %d: written %v, read %v, list of %d", now, ok, renewed, list.Len(1))
		}
	}
}

func TestTimeThatIsNotKnown(t *testing.T) {
	s := newStoreFor(t)
	cells := must(NewCellMap[uint64, int64](s, "cells", TTL{After: 10}))
	list := must(NewListMap[uint64, int64](s, "list", TTL{After: 10}))
	cells.Set(1, 1)
	list.Append(1, 1)
	s.Expire(1000)
	s.SetTime(50, 50)
	s.Expire(1000) // their lives begin
	list.Append(1, 2)
	s.SetTime(59, 59)
	if _, ok := cells.Get(1); !ok || list.Len(1) != 2 {
		t.Error("expired before its time")
	}
	s.SetTime(math.MaxInt64, math.MaxInt64)
	if n := s.Expire(1000); n != 3 || cells.Len() != 0 || list.lists.Lists() != 0 {
		t.Errorf("%d entries were removed", n)
	}
	if s.Stats().Expired != 3 {
		t.Errorf("%d were counted", s.Stats().Expired)
	}
}

func TestListElementsExpireOneByOne(t *testing.T) {
	s := newStoreFor(t)
	list := must(NewListMap[string, int64](s, "list", TTL{After: 10}))
	for now := range int64(30) {
		s.SetTime(now, 0)
		list.Append("k", now)
		want := int(min(now+1, 10))
		if got := slices.Collect(list.All("k")); len(got) != want || got[len(got)-1] != now || list.Len("k") != want {
			t.Fatalf("at %d: %v", now, got)
		}
	}
	s.SetTime(33, 0)
	list.DropFirst("k", 2)
	if got := slices.Collect(list.All("k")); !slices.Equal(got, []int64{26, 27, 28, 29}) {
		t.Errorf("after DropFirst: %v", got)
	}
}

func TestNestedEntriesExpireOneByOne(t *testing.T) {
	s := newStoreFor(t)
	m := must(NewNestedMap[string, string, int64](s, "m", TTL{After: 10}))
	s.SetTime(1, 0)
	m.Put("k", "old", 1)
	m.Put("k", "renewed", 1)
	s.SetTime(6, 0)
	m.Put("k", "renewed", 2)
	m.Put("k", "new", 3)
	s.SetTime(12, 0)
	want := map[string]int64{"renewed": 2, "new": 3}
	if got := maps.Collect(m.All("k")); !maps.Equal(got, want) || m.Len("k") != 2 {
		t.Errorf("%v, %d", got, m.Len("k"))
	}
	if n := s.Expire(1000); n != 1 {
		t.Errorf("%d removed", n)
	}
	if got := maps.Collect(m.All("k")); !maps.Equal(got, want) || m.maps.items.store.entries(m.maps.items.no) != 2 {
		t.Errorf("%v", got)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// A sweep looks at a few entries per call and comes round in the end.
func TestExpireIsBoundedAndComesRound(t *testing.T) {
	s := newStoreFor(t)
	cells := must(NewCellMap[uint64, int64](s, "cells", TTL{After: 10}))
	s.SetTime(0, 0)
	const n = 5000
	for i := range uint64(n) {
		cells.Set(i, 1)
	}
	s.SetTime(10, 0)
	total := 0
	for calls := 0; cells.Len() > 0; calls++ {
		got := s.Expire(16)
		if total += got; got > 16 || calls > n {
			t.Fatalf("call %d removed %d", calls, got)
		}
	}
	if st := s.Stats(); st.Free != st.Pages-int64(len(s.shards)) {
		t.Errorf("%d pages of %d are free", st.Free, st.Pages)
	}
	if total != n || s.Stats().Expired != n {
		t.Errorf("%d removed, %d counted", total, s.Stats().Expired)
	}
}

// The sweep goes on over a restore, because its place lies in the pages.
func TestExpireGoesOnAfterARestore(t *testing.T) {
	s, c := New(Options{KeyGroups: 1, HashSeed: 1}), &chain{}
	defer s.Close()
	cells := must(NewCellMap[uint64, int64](s, "cells", TTL{After: 10}))
	s.SetTime(0, 0)
	for i := range uint64(2000) {
		cells.Set(i, 1)
	}
	s.Expire(500)
	sh := s.look(0)
	p, slot := load32(sh.page0(), offSweepPage), load32(sh.page0(), offSweepSlot)
	c.save(t, s)
	s = restored(t, c)
	sh = s.look(0)
	if got := load32(sh.page0(), offSweepPage); got != p || load32(sh.page0(), offSweepSlot) != slot || p == 0 {
		t.Errorf("the sweep goes on at page %d, want %d", got, p)
	}
}

func TestTTLComesGoesAndChanges(t *testing.T) {
	s, c := newStoreFor(t), &chain{}
	declare := func(s *Store, o ...StateOption) (ValueMap[string, string], ListMap[string, int64], NestedMap[uint64, uint64, int64]) {
		return must(NewValueMap[string, string](s, "values", o...)), must(NewListMap[string, int64](s, "lists", o...)), must(NewNestedMap[uint64, uint64, int64](s, "nested", o...))
	}
	values, lists, nested := declare(s)
	const n = 1000
	for i := range uint64(n) {
		k := string(rune('a'+i%26)) + string(make([]byte, i))
		values.Set(k, k)
		lists.Append(k, int64(i))
		nested.Put(i%7, i, int64(i))
	}
	for round, ttl := range []TTL{{After: 10}, {After: 20, Renew: OnReadAndWrite}, {After: 20, Clock: ProcessingTime}, {}, {After: 5}} {
		c.save(t, s)
		s = restored(t, c)
		now := int64(100 * (round + 1))
		s.SetTime(now, now)
		if ttl.After == 0 {
			values, lists, nested = declare(s)
		} else {
			values, lists, nested = declare(s, ttl)
		}
		if err := s.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round == 1 { // the same clock: what was written at 100 has expired
			if v := len(maps.Collect(values.All())); v != 0 || lists.Len("b\x00") != 0 || nested.Len(1) != 0 {
				t.Errorf("round %d: %d values", round, v)
			}
			continue // and is back with the next change
		}
		if v := len(maps.Collect(values.All())); v != n || lists.Len("a") != 1 || nested.Len(1) != n/7+1 {
			t.Errorf("round %d: %d values, list of %d, map of %d", round, v, lists.Len("a"), nested.Len(1))
		}
		s.Expire(math.MaxInt)
	}
}
