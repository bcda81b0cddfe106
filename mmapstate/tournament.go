package mmapstate

// tournament knows which shard has the earliest entry of an index. Its leaves are the heads of the shards; an inner
// node holds the winner of its two children. It lies on the Go heap and is made from the heads at declaration.
type tournament struct {
	store *Store
	no    uint16
	n     int     // leaves: a power of two
	win   []int32 // 1 is the root; shard numbers, noShard if there is none
}

const noShard = -1

func (t *tournament) init(s *Store, no uint16) {
	t.store, t.no, t.n = s, no, 1
	for t.n < len(s.shards) {
		t.n *= 2
	}
	t.win = make([]int32, 2*t.n)
	for i := range t.n {
		t.win[t.n+i] = t.leaf(i)
	}
	for i := t.n - 1; i > 0; i-- {
		t.win[i] = t.better(t.win[2*i], t.win[2*i+1])
	}
}

// update plays the matches of one shard again.
func (t *tournament) update(shard int) {
	i := t.n + shard
	t.win[i] = t.leaf(shard)
	for i /= 2; i > 0; i /= 2 {
		t.win[i] = t.better(t.win[2*i], t.win[2*i+1])
	}
}

func (t *tournament) leaf(i int) int32 {
	if i >= len(t.store.shards) || t.store.shards[i].heads[t.no].entries == 0 {
		return noShard
	}
	return int32(i)
}

func (t *tournament) better(a, b int32) int32 {
	if a == noShard || b != noShard && t.at(int(b)) < t.at(int(a)) {
		return b
	}
	return a
}

func (t *tournament) at(shard int) int64 { return t.store.shards[shard].heads[t.no].earliest }

// winner is the shard with the earliest entry, or noShard.
func (t *tournament) winner() int { return int(t.win[1]) }
