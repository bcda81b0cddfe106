package main_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// batch is what everyOperator must make of n records: the rows of each sink, by name, in any order. It is written without
// the engine.
func batch(n int64) map[string][]string {
	all := make([]reading, n)
	for i := range all {
		all[i] = readingNo(int64(i))
	}
	always := func(reading) time.Duration { return silence }
	return map[string][]string{
		"tumbling":           windowed(all, tumble, tumble, summed),
		"sliding":            windowed(all, slideSize, slide, summed),
		"session":            sessions(all, always),
		"session by record":  sessions(all, ownSilence),
		"count":              counted(all),
		"elements":           windowed(all, tumble, tumble, listed),
		"in processing time": totals(all, func(int64) int64 { return 1 }),
		"broadcast":          totals(all, lastFactor),
		"window join":        joinedInWindows(all),
		"each":               sieved(all),
		"join":               joined(all),
		"process":            bucketed(all),
		"union":              tallied(all),
		"async":              answered(all, 1),
		"async in order":     answered(all, 2),
		"each broadcast":     factoredAll(all),
		"process2":           halved(all),
		"side":               sieved(all),
	}
}

// windowed puts each record into every window of a size that begins at a multiple of slide and holds it.
func windowed(all []reading, size, slide time.Duration, row func(key int64, start, end engine.Time, rs []reading) string) (rows []string) {
	type window struct {
		key   int64
		start engine.Time
	}
	in := map[window][]reading{}
	for _, r := range all {
		for start := r.At - r.At%engine.Time(slide); start > r.At-engine.Time(size); start -= engine.Time(slide) {
			w := window{r.Key, start}
			in[w] = append(in[w], r)
		}
	}
	for w, rs := range in {
		rows = append(rows, row(w.key, w.start, w.start.Add(size), rs))
	}
	return rows
}

// summed is a window's row.
func summed(key int64, start, end engine.Time, rs []reading) string {
	a := spread{int64(len(rs)), 0, rs[0].N, rs[0].N}
	for _, r := range rs {
		a.sum, a.least, a.most = a.sum+r.N, min(a.least, r.N), max(a.most, r.N)
	}
	return fmt.Sprintf("%d [%s, %s): %d %d %d..%d", key, start, end, a.n, a.sum, a.least, a.most)
}

// listed is the row of a window that shows its records.
func listed(key int64, start, end engine.Time, rs []reading) string {
	var all []int64
	for _, r := range rs {
		all = append(all, r.N)
	}
	slices.Sort(all)
	return fmt.Sprintf("%d [%s, %s): %d", key, start, end, all)
}

// sessions goes through each key's records in order of time: one that begins when the others have ended begins another.
func sessions(all []reading, gap func(reading) time.Duration) (rows []string) {
	for key, rs := range byKey(all) {
		slices.SortFunc(rs, func(a, b reading) int { return cmp.Compare(a.At, b.At) })
		first, end := 0, rs[0].At
		for i, r := range rs {
			if i > 0 && r.At >= end {
				rows = append(rows, summed(key, rs[first].At, end, rs[first:i]))
				first = i
			}
			end = max(end, r.At.Add(gap(r)))
		}
		rows = append(rows, summed(key, rs[first].At, end, rs[first:]))
	}
	return rows
}

func counted(all []reading) (rows []string) {
	for key, rs := range byKey(all) {
		for n := len(rs); n > 0; n -= full {
			rows = append(rows, fmt.Sprintf("%d: %d", key, min(n, full)))
		}
	}
	return rows
}

// lastFactor is that of the last rule for a key.
func lastFactor(key int64) int64 {
	last := int64(rules - 1)
	for last%classes != key%classes {
		last--
	}
	return last
}

func totals(all []reading, factor func(key int64) int64) (rows []string) {
	for key, rs := range byKey(all) {
		sum := int64(0)
		for _, r := range rs {
			sum += r.N
		}
		rows = append(rows, fmt.Sprintf("%d: %d", key, factor(key)*sum))
	}
	return rows
}

func byKey(all []reading) map[int64][]reading {
	keys := map[int64][]reading{}
	for _, r := range all {
		keys[r.Key] = append(keys[r.Key], r)
	}
	return keys
}

func joined(all []reading) (rows []string) {
	for key, rs := range byKey(all) {
		met := map[int64]bool{}
		for i := range rs {
			l := &rs[i]
			if !l.even() {
				continue
			}
			for k := max(0, i-500); k < min(len(rs), i+500); k++ { // beyond are none within the interval
				r := &rs[k]
				if apart := r.At.Sub(l.At); r.odd() && apart >= lower && apart <= upper {
					rows = append(rows, pairOf(key, l, r).Row)
					met[l.N], met[r.N] = true, true
				}
			}
		}
		for i := range rs {
			switch r := &rs[i]; {
			case met[r.N]:
			case r.even():
				rows = append(rows, pairOf(key, r, nil).Row)
			default:
				rows = append(rows, pairOf(key, nil, r).Row)
			}
		}
	}
	return rows
}

// joinedInWindows has all pairs of each window of a length of slide.
func joinedInWindows(all []reading) (rows []string) {
	pairs := func(key int64, start, end engine.Time, rs []reading) string {
		var lefts, rights []*reading
		for i := range rs {
			if rs[i].even() {
				lefts = append(lefts, &rs[i])
			} else {
				rights = append(rights, &rs[i])
			}
		}
		if len(lefts) == 0 {
			lefts = append(lefts, nil)
		}
		if len(rights) == 0 {
			rights = append(rights, nil)
		}
		for _, l := range lefts {
			for _, r := range rights {
				rows = append(rows, fmt.Sprintf("%s in [%s, %s)", pairOf(key, l, r).Row, start, end))
			}
		}
		return ""
	}
	windowed(all, slide, slide, pairs)
	return rows
}

func sieved(all []reading) (rows []string) {
	for i := 0; i < len(all); i += 10 {
		rows = append(rows, fmt.Sprint("record ", i))
	}
	return rows
}

func bucketed(all []reading) (rows []string) {
	for key, rs := range byKey(all) {
		sums := map[engine.Time]int64{}
		for _, r := range rs {
			sums[bucketOf(r.At)] += r.N
		}
		for end, sum := range sums {
			rows = append(rows, fmt.Sprintf("%d %s: %d", key, end, sum))
		}
	}
	return rows
}

// tallied counts each record twice: it comes by two ways.
func tallied(all []reading) (rows []string) {
	for key, rs := range byKey(all) {
		sum := int64(0)
		for _, r := range rs {
			sum += 2 * r.N
		}
		rows = append(rows, fmt.Sprintf("key %d: %d %d %d", key, 2*len(rs), 2*len(rs), sum))
	}
	return rows
}

// answered is one answer for each record, or for every other.
func answered(all []reading, step int) (rows []string) {
	for i := 0; i < len(all); i += step {
		rows = append(rows, answer(all[i]).Row)
	}
	return rows
}

func factoredAll(all []reading) (rows []string) {
	for i := int64(0); i < int64(len(all)); i += 10 {
		rows = append(rows, fmt.Sprintf("%d: %d", i, lastFactor(i%classes)))
	}
	return rows
}

// halved sums the even and the odd records of each bucket.
func halved(all []reading) (rows []string) {
	for key, rs := range byKey(all) {
		sums := map[engine.Time][2]int64{}
		for _, r := range rs {
			s := sums[bucketOf(r.At)]
			s[r.N%2] += r.N
			sums[bucketOf(r.At)] = s
		}
		for end, s := range sums {
			rows = append(rows, fmt.Sprintf("%d %s: %d %d", key, end, s[0], s[1]))
		}
	}
	return rows
}
