package mmapstate

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// The value types of a program change from one release to the next. What a checkpoint holds is read as the new type if
// the new type has every field of the old one, in the same order, and perhaps more behind them; a field may have become
// wider (int8 to int16 to int32 to int64, uint likewise, float32 to float64), and may have another name if its tag says
// the old one: `pagetide:"was=Old"`. This holds for the fields of fields too. Anything else is refused. Keys never change.

// evolution is the way from the image of one type to that of another: known parts move, all other bytes are zero.
type evolution []move

// move copies or widens one plain value, or copies several that lie side by side.
type move struct {
	from, to uint32
	size     uint32 // bytes that are read
	widen    byte
	wide     uint32 // bytes that are written, if widened
}

// How a value is made wider.
const (
	widenNot      = 0
	widenSigned   = 1
	widenUnsigned = 2
	widenFloat    = 3
)

// evolve finds the way. The error names the first difference that there is none for.
func evolve(old, now *shape) (evolution, error) {
	var e evolution
	if err := e.add(old, now, 0, 0, "value"); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *evolution) add(old, now *shape, from, to uint32, path string) error {
	switch {
	case old.kind != now.kind:
		return differ(old, now, path)
	case old.kind == shapeStruct:
		return e.addFields(old, now, from, to, path)
	case old.kind == shapeArray:
		if old.count != now.count {
			return differ(old, now, path)
		}
		for i := range old.count {
			if err := e.add(old.elem, now.elem, from+i*old.elem.size, to+i*now.elem.size, path+"[]"); err != nil {
				return err
			}
		}
		return nil
	}
	w := widening(old, now)
	if w == widenNot && old.name != now.name {
		return differ(old, now, path)
	}
	e.move(move{from: from, to: to, size: old.size, widen: w, wide: now.size})
	return nil
}

func (e *evolution) addFields(old, now *shape, from, to uint32, path string) error {
	for i, f := range old.fields {
		at := path + "." + f.name
		if i >= len(now.fields) {
			return fmt.Errorf("%s is gone", at)
		}
		g := now.fields[i]
		if g.name != f.name && g.was != f.name {
			return fmt.Errorf("%s has become %s: new fields go to the end, and a new name needs the tag `pagetide:\"was=%s\"`", at, g.name, f.name)
		}
		if err := e.add(f.shape, g.shape, from+f.off, to+g.off, at); err != nil {
			return err
		}
	}
	return nil
}

func differ(old, now *shape, path string) error {
	return fmt.Errorf("%s was %s and has become %s", path, old, now)
}

// widening tells how values of one plain type become those of a wider one of its family.
func widening(old, now *shape) byte {
	for _, family := range []struct {
		prefix string
		widen  byte
	}{{"int", widenSigned}, {"uint", widenUnsigned}, {"float", widenFloat}} {
		if strings.HasPrefix(old.name, family.prefix) && strings.HasPrefix(now.name, family.prefix) && old.size < now.size {
			return family.widen
		}
	}
	return widenNot
}

// move appends, to the last one if they are neighbours on both sides.
func (e *evolution) move(m move) {
	if n := len(*e); n > 0 && m.widen == widenNot {
		last := &(*e)[n-1]
		if last.widen == widenNot && last.from+last.size == m.from && last.to+last.size == m.to {
			last.size += m.size
			return
		}
	}
	*e = append(*e, m)
}

// apply makes a value; all bytes of to are zero before.
func (e evolution) apply(to, from []byte) {
	for _, m := range e {
		src := from[m.from : m.from+m.size]
		if m.widen == widenNot {
			copy(to[m.to:], src) // rule: evolve-moves
			continue
		}
		var b [8]byte
		copy(b[:], src)
		v := binary.LittleEndian.Uint64(b[:])
		switch m.widen {
		case widenSigned:
			v = uint64(int64(v<<(64-8*m.size)) >> (64 - 8*m.size)) // rule: evolve-keeps-the-sign
		case widenFloat:
			v = math.Float64bits(float64(math.Float32frombits(uint32(v))))
		}
		binary.LittleEndian.PutUint64(b[:], v)
		copy(to[m.to:m.to+m.wide], b[:])
	}
}
