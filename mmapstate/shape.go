package mmapstate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// shape is a fingerprint that was parsed back: the memory image of a flat type.
//
//	fingerprint = "le:" type
//	type        = "int64" ... │ "[" n "]" type │ "{" size { ";" name [ "=" old name ] "@" offset "+" size ":" type } "}"
//
// An old name is an alias of this program's and not part of the image: it does not get into a checkpoint.
type shape struct {
	kind   byte   // shapePlain, shapeArray, shapeStruct
	name   string // of a plain type
	size   uint32
	leaves uint32       // plain values in it, at least 1
	count  uint32       // of an array
	elem   *shape       // of an array
	fields []shapeField // of a struct
}

type shapeField struct {
	name, was string
	off       uint32
	shape     *shape
}

const (
	shapePlain  = 0
	shapeArray  = 1
	shapeStruct = 2
)

const (
	littleEndian = "le:"
	maxShapeDeep = 64 // types in types
	maxLeaves    = 1 << 14
)

// plainSize are the sizes of the types that have no parts, by name.
var plainSize = map[string]uint32{
	"bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
	"float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}

var errShape = errors.New("not the fingerprint of a flat type")

// parseShape reads a fingerprint; it may come from a checkpoint, so everything is bounded.
func parseShape(print string) (*shape, error) {
	rest, ok := strings.CutPrefix(print, littleEndian)
	if !ok {
		return nil, errShape
	}
	p := shapeParser{rest: rest}
	s := p.parse(0)
	if p.bad || p.rest != "" || s.size > maxInline {
		return nil, errShape
	}
	return s, nil
}

// shapeParser stops at the first mistake and then returns anything.
type shapeParser struct {
	rest string
	bad  bool
}

func (p *shapeParser) parse(deep int) *shape {
	switch {
	case deep > maxShapeDeep:
		p.bad = true
	case p.skip("["):
		s := &shape{kind: shapeArray, count: p.number()}
		p.want("]")
		s.elem = p.parse(deep + 1)
		if uint64(s.count)*uint64(max(s.elem.size, 1)) > maxInline {
			p.bad = true
		}
		s.size = s.count * s.elem.size
		p.leaves(s, uint64(s.count)*uint64(s.elem.leaves))
		return s
	case p.skip("{"):
		return p.fields(deep)
	}
	name := p.word(";}")
	size, ok := plainSize[name]
	p.bad = p.bad || !ok
	return &shape{name: name, size: size, leaves: 1}
}

// leaves bounds what is walked for one value: arrays of nothing could be of any length.
func (p *shapeParser) leaves(s *shape, n uint64) {
	s.leaves = uint32(min(max(n, 1), maxLeaves))
	p.bad = p.bad || n > maxLeaves
}

func (p *shapeParser) fields(deep int) *shape {
	s, leaves := &shape{kind: shapeStruct, size: p.number()}, uint64(0)
	for !p.bad && p.skip(";") {
		f := shapeField{name: p.word("=@")}
		if p.skip("=") {
			f.was = p.word("@")
		}
		p.want("@")
		f.off = p.number()
		p.want("+")
		size := p.number()
		p.want(":")
		f.shape = p.parse(deep + 1)
		if f.shape.size != size || f.off > s.size || size > s.size-f.off {
			p.bad = true
		}
		s.fields = append(s.fields, f)
		leaves += uint64(f.shape.leaves)
	}
	p.leaves(s, leaves)
	p.want("}")
	return s
}

func (p *shapeParser) skip(s string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, s)
	return ok
}

func (p *shapeParser) want(s string) { p.bad = !p.skip(s) || p.bad }

// word takes what comes before any of the characters.
func (p *shapeParser) word(until string) string {
	n := strings.IndexAny(p.rest, until)
	if n < 0 {
		n = len(p.rest)
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

func (p *shapeParser) number() uint32 {
	n := 0
	for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(p.rest[:n], 10, 16)
	p.bad = p.bad || err != nil
	p.rest = p.rest[n:]
	return uint32(v)
}

// fingerprint is what was parsed, without aliases.
func (s *shape) fingerprint() string {
	var b strings.Builder
	b.WriteString(littleEndian)
	s.print(&b)
	return b.String()
}

func (s *shape) print(b *strings.Builder) {
	switch s.kind {
	case shapePlain:
		b.WriteString(s.name)
	case shapeArray:
		fmt.Fprintf(b, "[%d]", s.count)
		s.elem.print(b)
	case shapeStruct:
		fmt.Fprintf(b, "{%d", s.size)
		for _, f := range s.fields {
			fmt.Fprintf(b, ";%s@%d+%d:", f.name, f.off, f.shape.size)
			f.shape.print(b)
		}
		b.WriteByte('}')
	}
}

// String writes the type as a Go program would.
func (s *shape) String() string {
	switch s.kind {
	case shapeArray:
		return fmt.Sprintf("[%d]%s", s.count, s.elem)
	case shapeStruct:
		var parts []string
		for _, f := range s.fields {
			parts = append(parts, f.name+" "+f.shape.String())
		}
		return "struct{" + strings.Join(parts, "; ") + "}"
	}
	return s.name
}

// canonical is a fingerprint without its aliases; what is no shape stays as it is.
func canonical(print string) string {
	if s, err := parseShape(print); err == nil {
		return s.fingerprint()
	}
	return print
}
