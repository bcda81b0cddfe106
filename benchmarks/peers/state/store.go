package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"time"
)

// store is what is measured. Each method works on a batch of keys and stops the program when a key is missing or the
// store fails: a fast wrong answer is no result.
type store[K comparable] interface {
	name() string
	load(keys []K)        // into the empty store, in ascending order; ends when background work has
	rmw(keys []K)         // adds one to the number that each key's value begins with
	read(keys []K) uint64 // sums those numbers
	insert(keys []K)      // of keys that are not there
	remove(keys []K)
	rest() // waits for background work that the last round has left behind
	close()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "state:", err)
		os.Exit(1)
	}
}

func missing(store string, key any) { check(fmt.Errorf("%s has lost key %q", store, fmt.Sprint(key))) }

// byteStore is a store of byte strings.
type byteStore interface {
	name() string
	load(keys [][]byte, value []byte) // a part of the keys; the last part is nil
	rmw(keys [][]byte)
	read(keys [][]byte) uint64
	insert(keys [][]byte, value []byte)
	remove(keys [][]byte)
	rest()
	close()
}

// overBytes makes a store of byte strings one of typed keys. The views it makes of a batch cost each key a nanosecond or
// two.
type overBytes[K comparable] struct {
	byteStore
	shape shape[K]
	views [][]byte
	arena [][8]byte
	value []byte
}

func newOverBytes[K comparable](s shape[K], b byteStore) *overBytes[K] {
	return &overBytes[K]{byteStore: b, shape: s, views: make([][]byte, chunk), arena: make([][8]byte, chunk), value: make([]byte, s.valueSize)}
}

func (o *overBytes[K]) view(keys []K) [][]byte {
	for i := range keys {
		o.views[i] = o.shape.bytes(&keys[i], &o.arena[i])
	}
	return o.views[:len(keys)]
}

func (o *overBytes[K]) load(keys []K) {
	for len(keys) > 0 {
		n := min(chunk, len(keys))
		o.byteStore.load(o.view(keys[:n]), o.value)
		keys = keys[n:]
	}
	o.byteStore.load(nil, nil)
}

func (o *overBytes[K]) rmw(keys []K)         { o.byteStore.rmw(o.view(keys)) }
func (o *overBytes[K]) read(keys []K) uint64 { return o.byteStore.read(o.view(keys)) }
func (o *overBytes[K]) insert(keys []K)      { o.byteStore.insert(o.view(keys), o.value) }
func (o *overBytes[K]) remove(keys []K)      { o.byteStore.remove(o.view(keys)) }

// writeBatch is how many updates a store with write batches gets in one.
const writeBatch = 64

// pending holds the updates of one write batch, so that a key that comes twice sees its own update: stores answer reads
// from what was written before the batch.
type pending struct {
	keys   [][]byte
	values [][]byte
	slots  [4 * writeBatch]uint8 // 1 + index into keys, by hash
}

func newPending(valueSize int) *pending {
	p := &pending{}
	for range writeBatch {
		p.values = append(p.values, make([]byte, valueSize))
	}
	return p
}

func (p *pending) reset() {
	p.keys = p.keys[:0]
	clear(p.slots[:])
}

// at gives the value of a key and tells whether the batch has it already; if not, the caller fills it.
func (p *pending) at(key []byte) ([]byte, bool) {
	h := binary.LittleEndian.Uint64(key[len(key)-8:]) * 0x9e3779b97f4a7c15 >> 56
	for ; ; h = (h + 1) % uint64(len(p.slots)) {
		i := p.slots[h]
		if i == 0 {
			p.keys = append(p.keys, key)
			p.slots[h] = uint8(len(p.keys))
			return p.values[len(p.keys)-1], false
		}
		if bytes.Equal(p.keys[i-1], key) {
			return p.values[i-1], true
		}
	}
}

// add adds one to the number that a value begins with.
func add(value []byte) {
	binary.LittleEndian.PutUint64(value, binary.LittleEndian.Uint64(value)+1)
}

func number(value []byte) uint64 { return binary.LittleEndian.Uint64(value) }

// waitIdle polls until a store's background work is done, for a second at most: more than that is work that its updates
// should have waited for.
func waitIdle(idle func() bool) {
	for end := time.Now().Add(time.Second); !idle() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// silent drops a store's own messages.
type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Warningf(string, ...any)        {}
func (silent) Debugf(string, ...any)          {}
func (silent) Fatalf(format string, a ...any) { check(fmt.Errorf(format, a...)) }
