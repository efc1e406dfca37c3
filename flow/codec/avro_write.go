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

func (c *avroCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	start := len(dst)
	if c.Confluent {
		if c.ID < 0 {
			return dst, errors.New("no schema_id says with which id of a schema to write")
		}
		dst = binary.BigEndian.AppendUint32(append(dst, 0), uint32(c.ID))
	}
	out, err := appendAvro(dst, c.schema, v.Box(), 0)
	if err != nil {
		return dst[:start], err
	}
	return out, nil
}

func wrongAvro(s avro.Schema, x any) error {
	return fmt.Errorf("it is %s, and the schema says %s", value.Unbox(x).Kind(), s.Type())
}

func appendAvro(dst []byte, s avro.Schema, x any, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return dst, errTooDeep
	}
	switch s := s.(type) {
	case *avro.RefSchema:
		return appendAvro(dst, s.Schema(), x, depth+1)
	case *avro.NullSchema:
		if x != nil {
			return dst, wrongAvro(s, x)
		}
		return dst, nil
	case *avro.PrimitiveSchema:
		return appendAvroPrimitive(dst, s, x)
	case *avro.FixedSchema:
		b, err := toLogical(s, s.Logical(), x, s.Size())
		if err == nil && len(b) != s.Size() {
			err = fmt.Errorf("it has %d bytes, and the schema says %d", len(b), s.Size())
		}
		return append(dst, b...), err
	case *avro.EnumSchema:
		for i, symbol := range s.Symbols() {
			if symbol == x {
				return binary.AppendVarint(dst, int64(i)), nil
			}
		}
		return dst, fmt.Errorf("it is none of the symbols %s", strings.Join(s.Symbols(), ", "))
	case *avro.UnionSchema:
		return appendAvroUnion(dst, s, x, depth)
	case *avro.RecordSchema:
		return appendAvroRecord(dst, s, x, depth)
	case *avro.ArraySchema:
		l, ok := x.([]any)
		if !ok {
			return dst, wrongAvro(s, x)
		}
		if len(l) > 0 {
			dst = binary.AppendVarint(dst, int64(len(l)))
		}
		for i := range l {
			var err error
			if dst, err = appendAvro(dst, s.Items(), l[i], depth+1); err != nil {
				return dst, element(i, err)
			}
		}
		return append(dst, 0), nil
	case *avro.MapSchema:
		return appendAvroMap(dst, s, x, depth)
	}
	return dst, fmt.Errorf("the type %s is not known", s.Type())
}

func appendAvroRecord(dst []byte, s *avro.RecordSchema, x any, depth int) ([]byte, error) {
	m, ok := x.(map[string]any)
	if !ok {
		return dst, wrongAvro(s, x)
	}
	found := 0
	for _, f := range s.Fields() {
		member, there := m[f.Name()]
		if there {
			found++
		}
		var err error
		if dst, err = appendAvroField(dst, f, member, there, depth); err != nil {
			return dst, within("["+fmt.Sprintf("%q", f.Name())+"]", err)
		}
	}
	if found == len(m) {
		return dst, nil
	}
	known := map[string]bool{}
	for _, f := range s.Fields() {
		known[f.Name()] = true
	}
	for _, name := range sortedKeys(m) {
		if !known[name] {
			return dst, member(name, errors.New("the schema has no such field"))
		}
	}
	return dst, nil
}

// appendAvroField writes a field; one that is not there is null where the schema takes that.
func appendAvroField(dst []byte, f *avro.Field, x any, there bool, depth int) ([]byte, error) {
	out, err := appendAvro(dst, f.Type(), x, depth+1)
	if err != nil && !there {
		return dst, errors.New("the schema wants it, and it is not there")
	}
	return out, err
}

func appendAvroMap(dst []byte, s *avro.MapSchema, x any, depth int) ([]byte, error) {
	m, ok := x.(map[string]any)
	if !ok {
		return dst, wrongAvro(s, x)
	}
	if len(m) > 0 {
		dst = binary.AppendVarint(dst, int64(len(m)))
	}
	for _, name := range sortedKeys(m) {
		if !utf8.ValidString(name) {
			return dst, errNotText
		}
		dst = append(binary.AppendVarint(dst, int64(len(name))), name...)
		var err error
		if dst, err = appendAvro(dst, s.Values(), m[name], depth+1); err != nil {
			return dst, member(name, err)
		}
	}
	return append(dst, 0), nil
}

// appendAvroUnion writes the first branch that takes the value.
func appendAvroUnion(dst []byte, s *avro.UnionSchema, x any, depth int) ([]byte, error) {
	var last error
	for i, branch := range s.Types() {
		_, isFloat := x.(float64)
		if t := branch.Type(); isFloat && (t == avro.Int || t == avro.Long) && hasFloat(s) {
			continue // 2.0 stays a float where there is one
		}
		out, err := appendAvro(binary.AppendVarint(dst, int64(i)), branch, x, depth+1)
		if err == nil {
			return out, nil
		}
		if branch.Type() != avro.Null {
			last = err
		}
	}
	if s.Nullable() && len(s.Types()) == 2 && last != nil {
		return dst, last
	}
	return dst, fmt.Errorf("it is %s, and no branch of the union takes it", value.Unbox(x).Kind())
}

func hasFloat(s *avro.UnionSchema) bool { return s.Contains(avro.Double) || s.Contains(avro.Float) }

func appendAvroPrimitive(dst []byte, s *avro.PrimitiveSchema, x any) ([]byte, error) {
	switch s.Type() {
	case avro.Boolean:
		if b, ok := x.(bool); ok {
			if b {
				return append(dst, 1), nil
			}
			return append(dst, 0), nil
		}
	case avro.Int, avro.Long:
		n, ok, err := stepsOf(s.Logical(), x)
		if err == nil && s.Type() == avro.Int && n != int64(int32(n)) {
			err = fmt.Errorf("%d needs more than the 32 bits of an int", n)
		}
		if ok || err != nil {
			return binary.AppendVarint(dst, n), err
		}
	case avro.Float, avro.Double:
		return appendAvroFloat(dst, s, x)
	case avro.String:
		if text, ok := x.(string); ok {
			if !utf8.ValidString(text) {
				return dst, errNotText
			}
			return append(binary.AppendVarint(dst, int64(len(text))), text...), nil
		}
	default: // bytes
		b, err := toLogical(s, s.Logical(), x, 0)
		return append(binary.AppendVarint(dst, int64(len(b))), b...), err
	}
	return dst, wrongAvro(s, x)
}

func appendAvroFloat(dst []byte, s *avro.PrimitiveSchema, x any) ([]byte, error) {
	f, ok := x.(float64)
	if n, isInt := x.(int); isInt && int(float64(n)) == n {
		f, ok = float64(n), true
	}
	switch {
	case !ok:
		return dst, wrongAvro(s, x)
	case s.Type() == avro.Double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
	case math.IsInf(float64(float32(f)), 0) && !math.IsInf(f, 0):
		return dst, fmt.Errorf("%g is more than a float holds", f)
	}
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
}

// stepsOf is an integer, or a time in the steps of its logical type; ok is false for what is neither.
func stepsOf(l avro.LogicalSchema, x any) (n int64, ok bool, err error) {
	unit, ofDay := unitOf(l)
	switch x := x.(type) {
	case int:
		return int64(x), true, nil
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x), true, nil
		}
		return 0, false, nil
	case time.Duration:
		if !ofDay {
			return 0, false, nil
		}
		if x%unit != 0 {
			return 0, false, fmt.Errorf("%s is finer than %s", x, unit)
		}
		return int64(x / unit), true, nil
	case time.Time:
		if unit == 0 || ofDay {
			return 0, false, nil
		}
		return stepsSince1970(x, unit)
	}
	return 0, false, nil
}

func stepsSince1970(t time.Time, unit time.Duration) (n int64, ok bool, err error) {
	seconds, nanos := t.Unix(), int64(t.Nanosecond())
	if unit >= time.Second {
		whole := int64(unit / time.Second)
		if nanos != 0 || seconds%whole != 0 {
			return 0, false, fmt.Errorf("%s is no date but a time of day too", t.UTC().Format(time.RFC3339Nano))
		}
		return seconds / whole, true, nil
	}
	steps := int64(time.Second / unit)
	if nanos%int64(unit) != 0 {
		return 0, false, fmt.Errorf("%s is finer than %s", t.UTC().Format(time.RFC3339Nano), unit)
	}
	if seconds > math.MaxInt64/steps-1 || seconds < math.MinInt64/steps+1 {
		return 0, false, errYear
	}
	return seconds*steps + nanos/int64(unit), true, nil
}

// toLogical is a value as bytes: of a decimal, its digits in two's complement; of size bytes, as few as there are when size is 0.
func toLogical(s avro.Schema, l avro.LogicalSchema, x any, size int) ([]byte, error) {
	d, isDecimal := l.(*avro.DecimalLogicalSchema)
	if b, ok := x.([]byte); ok && !isDecimal {
		return b, nil
	}
	if !isDecimal {
		return nil, wrongAvro(s, x)
	}
	var text string
	switch x := x.(type) {
	case string:
		text = x
	case int:
		text = fmt.Sprint(x)
	default:
		return nil, fmt.Errorf("it is %s, and a decimal takes a text of digits or an int", value.Unbox(x).Kind())
	}
	n, err := parseDecimal(text, d)
	if err != nil {
		return nil, err
	}
	return twosComplement(n, size)
}

func parseDecimal(text string, d *avro.DecimalLogicalSchema) (*big.Int, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	for _, c := range strings.TrimPrefix(whole, "-") + fraction {
		if c < '0' || c > '9' {
			return nil, fmt.Errorf("%.40q is no decimal", text)
		}
	}
	if len(fraction) > d.Scale() {
		return nil, fmt.Errorf("%.40q has more than the %d digits behind the point that the schema has", text, d.Scale())
	}
	digits := whole + fraction + strings.Repeat("0", d.Scale()-len(fraction))
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok || len(digits) > 2*maxDecimal {
		return nil, fmt.Errorf("%.40q is no decimal", text)
	}
	if len(new(big.Int).Abs(n).String()) > d.Precision() {
		return nil, fmt.Errorf("%.40q has more than the %d digits that the schema has", text, d.Precision())
	}
	return n, nil
}

func twosComplement(n *big.Int, size int) ([]byte, error) {
	least := n.BitLen()/8 + 1
	if n.Sign() < 0 { // -128 is one byte
		least = new(big.Int).Not(n).BitLen()/8 + 1
	}
	if size == 0 {
		size = least
	}
	if least > size {
		return nil, fmt.Errorf("the decimal needs %d bytes, and the schema has %d", least, size)
	}
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size)*8))
	}
	return n.FillBytes(make([]byte, size)), nil
}
