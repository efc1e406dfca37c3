package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hamba/avro/v2"

	"github.com/millstream/millstream/flow/value"
)

func (r *avroReader) text() (string, error) {
	b, err := r.bytes()
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a string that is not UTF-8")
	}
	return string(b), err
}

func (r *avroReader) primitive(s *avro.PrimitiveSchema) (any, error) {
	switch s.Type() {
	case avro.Null:
		return nil, nil
	case avro.Boolean:
		b, err := r.take(1)
		if err != nil {
			return nil, err
		}
		if b[0] > 1 {
			return nil, fmt.Errorf("a bool of %d", b[0])
		}
		return b[0] == 1, nil
	case avro.Int, avro.Long:
		n, err := r.long()
		if err == nil && s.Type() == avro.Int && n != int64(int32(n)) {
			err = fmt.Errorf("an int of more than 32 bits: %d", n)
		}
		if err != nil {
			return nil, err
		}
		return timeOf(s.Logical(), n)
	case avro.Float:
		b, err := r.take(4)
		if err != nil {
			return nil, err
		}
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), nil
	case avro.Double:
		b, err := r.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
	case avro.String:
		return r.text()
	default: // bytes
		b, err := r.bytes()
		if err != nil {
			return nil, err
		}
		return fromLogical(s.Logical(), b)
	}
}

// fromLogical reads the bytes of a decimal; all others stay bytes.
func fromLogical(l avro.LogicalSchema, b []byte) (any, error) {
	d, ok := l.(*avro.DecimalLogicalSchema)
	if !ok {
		return b, nil
	}
	if len(b) > maxDecimal {
		return nil, fmt.Errorf("a decimal of %d bytes", len(b))
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 { // two's complement
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return decimalText(n, d.Scale()), nil
}

// maxDecimal is the most bytes of a decimal: some 600 digits.
const maxDecimal = 256

// decimalText writes n / 10^scale exactly, with all its digits.
func decimalText(n *big.Int, scale int) string {
	digits, sign := new(big.Int).Abs(n).String(), ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if scale <= 0 {
		return sign + digits
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// unitOf is how long one step of a logical type of time is; 0 where it is none.
func unitOf(l avro.LogicalSchema) (unit time.Duration, ofDay bool) {
	if l == nil {
		return 0, false
	}
	switch l.Type() {
	case avro.Date:
		return 24 * time.Hour, false
	case avro.TimestampMillis, avro.LocalTimestampMillis:
		return time.Millisecond, false
	case avro.TimestampMicros, avro.LocalTimestampMicros:
		return time.Microsecond, false
	case avro.TimeMillis:
		return time.Millisecond, true
	case avro.TimeMicros:
		return time.Microsecond, true
	default:
		return 0, false
	}
}

// timeOf reads an integer as its logical type says.
func timeOf(l avro.LogicalSchema, n int64) (any, error) {
	unit, ofDay := unitOf(l)
	switch {
	case unit == 0:
		return int(n), nil
	case ofDay:
		if n > math.MaxInt64/int64(unit) || n < math.MinInt64/int64(unit) {
			return nil, fmt.Errorf("a time of day of %d", n)
		}
		return time.Duration(n) * unit, nil
	case unit >= time.Second:
		return time.Unix(n*int64(unit/time.Second), 0).UTC(), nil
	}
	steps := int64(time.Second / unit)
	seconds, rest := n/steps, n%steps
	return time.Unix(seconds, rest*int64(unit)).UTC(), nil
}

// avroShape is what a schema tells. What may be of several types is not known, but for null beside one other.
func avroShape(s avro.Schema, depth int) *Shape {
	if depth > maxShapeDepth {
		return nil
	}
	switch s := s.(type) {
	case *avro.RefSchema:
		return avroShape(s.Schema(), depth+1)
	case *avro.PrimitiveSchema:
		if unit, _ := unitOf(s.Logical()); unit > 0 {
			return nil
		}
		if _, decimal := s.Logical().(*avro.DecimalLogicalSchema); decimal {
			return &Shape{Kind: value.KindString}
		}
		if k, ok := map[avro.Type]value.Kind{avro.Boolean: value.KindBool, avro.Int: value.KindInt, avro.Long: value.KindInt,
			avro.Float: value.KindFloat, avro.Double: value.KindFloat, avro.String: value.KindString}[s.Type()]; ok {
			return &Shape{Kind: k}
		}
	case *avro.EnumSchema:
		return &Shape{Kind: value.KindString}
	case *avro.RecordSchema:
		out := &Shape{Kind: value.KindMap, Fields: map[string]*Shape{}}
		for _, f := range s.Fields() {
			out.Fields[f.Name()] = avroShape(f.Type(), depth+1)
		}
		return out
	case *avro.ArraySchema:
		return &Shape{Kind: value.KindList, Elem: avroShape(s.Items(), depth+1)}
	case *avro.MapSchema:
		return &Shape{Kind: value.KindMap}
	case *avro.UnionSchema:
		if s.Nullable() && len(s.Types()) == 2 {
			_, other := s.Indices()
			return avroShape(s.Types()[other], depth+1)
		}
	}
	return nil
}

// maxShapeDepth is how far into a schema types are followed. A schema may refer to itself.
const maxShapeDepth = 8
