package mmapstate

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pagetide/pagetide/meta"
)

// texter appends the JSON of a value to text.
type texter func(text, value []byte) []byte

// Decoder shows the values of one codec: see [DecoderOf].
type Decoder struct {
	name string
	text texter
}

// DecoderOf makes a decoder of a codec, for values that encoding/json can show. A value that cannot be decoded is shown
// like one of an unknown codec.
func DecoderOf[V any](c Codec[V]) Decoder {
	name := c.Name()
	return Decoder{name, func(text, value []byte) []byte {
		v := new(V)
		if c.Decode(value, v) == nil {
			if b, err := json.Marshal(v); err == nil {
				return append(text, b...)
			}
		}
		return rawText(name)(text, value)
	}}
}

// texterOf finds how to show values. It is nil for a fixed-size type that only the program knows.
func texterOf(kind meta.StateKind, print string, d []Decoder) (size int, show texter) {
	if kind == meta.KindCell {
		sh, err := parseShape(print)
		if err != nil {
			return 0, nil
		}
		return int(sh.size), sh.text
	}
	for _, known := range d {
		if known.name == print {
			return -1, known.text
		}
	}
	switch {
	case print == rawString:
		return -1, stringText
	case print == rawBytes:
		return -1, base64Text
	case strings.HasPrefix(print, "cbor "):
		return -1, cborTexter(print)
	}
	return -1, rawText(print)
}

// rawText shows values whose codec is unknown.
func rawText(codec string) texter {
	head := append(quoted([]byte(`{"codec":`), codec), `,"base64":`...)
	return func(text, value []byte) []byte {
		return append(base64Text(append(text, head...), value), '}')
	}
}

func base64Text(text, value []byte) []byte {
	text = base64.StdEncoding.AppendEncode(append(text, '"'), value)
	return append(text, '"')
}

func stringText(text, value []byte) []byte {
	if !utf8.Valid(value) {
		return append(base64Text(append(text, `{"base64":`...), value), '}')
	}
	return quoted(text, value)
}

// quoted appends a JSON string. Only what must be escaped is.
func quoted[S string | []byte](text []byte, s S) []byte {
	text = append(text, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			text = append(text, '\\', c)
		case c >= ' ':
			text = append(text, c)
		default:
			text = appendEscape(text, c)
		}
	}
	return append(text, '"')
}

func appendEscape(text []byte, c byte) []byte {
	if i := strings.IndexByte("\b\f\n\r\t", c); i >= 0 {
		return append(text, '\\', "bfnrt"[i])
	}
	const hex = "0123456789abcdef"
	return append(text, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// text appends the JSON of a flat value.
func (s *shape) text(text, v []byte) []byte {
	switch s.kind {
	case shapeArray:
		text = append(text, '[')
		for i := range s.count {
			text = s.elem.text(comma(text), v[i*s.elem.size:][:s.elem.size])
		}
		return append(text, ']')
	case shapeStruct:
		text = append(text, '{')
		for _, f := range s.fields {
			if f.name != "_" {
				text = append(quoted(comma(text), f.name), ':')
				text = f.shape.text(text, v[f.off:][:f.shape.size])
			}
		}
		return append(text, '}')
	}
	return s.plainText(text, v)
}

func (s *shape) plainText(text, v []byte) []byte {
	w := word(v[:min(8, len(v))])
	switch {
	case s.name == "bool":
		return strconv.AppendBool(text, w != 0)
	case s.name == "float32":
		return appendFloat(text, float64(math.Float32frombits(uint32(w))), 32)
	case s.name == "float64":
		return appendFloat(text, math.Float64frombits(w), 64)
	case s.name == "complex64":
		return s.pair(text, v, "float32", 4)
	case s.name == "complex128":
		return s.pair(text, v, "float64", 8)
	case s.name[0] == 'u':
		return strconv.AppendUint(text, w, 10)
	}
	shift := 64 - 8*s.size
	return strconv.AppendInt(text, int64(w<<shift)>>shift, 10)
}

// pair shows a complex number.
func (s *shape) pair(text, v []byte, name string, size uint32) []byte {
	part := &shape{name: name, size: size}
	text = part.plainText(append(text, '['), v[:size])
	text = part.plainText(append(text, ','), v[size:])
	return append(text, ']')
}

// appendFloat writes a number as encoding/json does.
func appendFloat(text []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(text, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(text, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(text, `"-Infinity"`...)
	}
	format, abs := byte('f'), math.Abs(f)
	if abs != 0 && (bits == 64 && (abs < 1e-6 || abs >= 1e21) || bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21)) {
		format = 'e'
	}
	text = strconv.AppendFloat(text, f, format, -1, bits)
	if n := len(text); format == 'e' && n >= 4 && text[n-4] == 'e' && (text[n-3] == '-' || text[n-3] == '+') && text[n-2] == '0' {
		text[n-2] = text[n-1] // e-09 is e-9
		text = text[:n-1]
	}
	return text
}
