package mmapstate

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
)

// cborTexter shows CBOR without knowing the Go type. Maps keep their order; keys that are no strings become their JSON,
// as a string. Byte strings are base64, big numbers numbers, undefined is null; of other tags only the content is shown.
func cborTexter(codec string) texter {
	raw := rawText(codec)
	return func(text, value []byte) []byte {
		if cborDecoder.Wellformed(value) != nil {
			return raw(text, value)
		}
		c := cborText{in: value}
		return c.item(text)
	}
}

// cborText reads one well-formed item: the lengths in it have been checked.
type cborText struct{ in []byte }

// The major types of CBOR.
const (
	cborUint   = 0
	cborNegint = 1
	cborBytes  = 2
	cborString = 3
	cborArray  = 4
	cborMap    = 5
	cborTag    = 6
)

const cborBreak = 0xff

// head takes the major type, the additional information and the argument. The argument of information 31 is of no use.
func (c *cborText) head() (major, info byte, arg uint64) {
	major, info = c.in[0]>>5, c.in[0]&31
	n := 0
	if arg = uint64(info); info >= 24 && info <= 27 {
		n = 1 << (info - 24)
		var b [8]byte
		copy(b[8-n:], c.in[1:1+n])
		arg = binary.BigEndian.Uint64(b[:])
	}
	c.in = c.in[1+n:]
	return major, info, arg
}

func (c *cborText) item(text []byte) []byte {
	major, info, arg := c.head()
	switch major {
	case cborUint:
		return strconv.AppendUint(text, arg, 10)
	case cborNegint:
		return negative(new(big.Int).SetUint64(arg)).Append(text, 10)
	case cborBytes:
		return base64Text(text, c.bytes(info, arg))
	case cborString:
		return stringText(text, c.bytes(info, arg))
	case cborArray:
		text = append(text, '[')
		for c.more(info, &arg) {
			text = c.item(comma(text))
		}
		return append(text, ']')
	case cborMap:
		text = append(text, '{')
		for c.more(info, &arg) {
			text = append(nameText(comma(text), c.item(nil)), ':')
			text = c.item(text)
		}
		return append(text, '}')
	case cborTag:
		return c.tagged(text, arg)
	}
	return simple(text, info, arg)
}

// more tells whether a container has another element.
func (c *cborText) more(info byte, left *uint64) bool {
	if info == 31 {
		if c.in[0] != cborBreak {
			return true
		}
		c.in = c.in[1:]
		return false
	}
	*left--
	return *left != math.MaxUint64
}

// bytes takes the content of a string, also of one in pieces.
func (c *cborText) bytes(info byte, n uint64) (b []byte) {
	if info != 31 {
		b, c.in = c.in[:n], c.in[n:]
		return b
	}
	for c.more(info, nil) {
		_, _, n := c.head()
		b = append(b, c.in[:n]...)
		c.in = c.in[n:]
	}
	return b
}

// tagged shows what is behind a tag. Tags 2 and 3 are big numbers.
func (c *cborText) tagged(text []byte, tag uint64) []byte {
	if tag != 2 && tag != 3 || c.in[0]>>5 != cborBytes {
		return c.item(text)
	}
	_, info, n := c.head()
	v := new(big.Int).SetBytes(c.bytes(info, n))
	if tag == 3 {
		v = negative(v)
	}
	return v.Append(text, 10)
}

// negative is -1-n.
func negative(n *big.Int) *big.Int { return n.Not(n) }

func simple(text []byte, info byte, arg uint64) []byte {
	switch info {
	case 20, 21:
		return strconv.AppendBool(text, info == 21)
	case 22, 23:
		return append(text, "null"...)
	case 25:
		return appendFloat(text, half(uint16(arg)), 64)
	case 26:
		return appendFloat(text, float64(math.Float32frombits(uint32(arg))), 32)
	case 27:
		return appendFloat(text, math.Float64frombits(arg), 64)
	}
	return strconv.AppendUint(text, arg, 10)
}

// half widens a float of 16 bits.
func half(b uint16) float64 {
	exp, frac := int(b>>10&31), float64(b&1023)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(frac, -24)
	case 31:
		f = math.Inf(1)
		if frac != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+frac, exp-25)
	}
	if b>>15 != 0 {
		f = -f
	}
	return f
}

// nameText makes the name of an object's member of the JSON of a key: a string as it is, anything else as a string.
func nameText(text, key []byte) []byte {
	if key[0] == '"' {
		return append(text, key...)
	}
	return quoted(text, key)
}
