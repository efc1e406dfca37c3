package codec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hamba/avro/v2"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// AvroOptions are what a file says of its Avro.
type AvroOptions struct {
	// Schema is the text of the schema that the payloads were written with.
	Schema []byte
	// Confluent: a zero byte and the id of the schema, four bytes, stand before the value.
	Confluent bool
	// ID is that id: what is written, and what is wanted unless it is negative.
	ID int64
}

// Avro is Avro's binary encoding of single values. Enums and uuids are texts, decimals texts of digits, fixed and bytes bytes; dates and
// timestamps are times in UTC, times of day durations. Of a union the value itself is read, without the name of its branch; written is the
// first branch that takes the value. Fields that are not in the schema are an error when they are written.
func Avro(o AvroOptions) (*Format, error) {
	s, err := avro.ParseBytesWithCache(o.Schema, "", &avro.SchemaCache{})
	if err != nil {
		return nil, err
	}
	if o.Confluent && o.ID > 1<<31-1 {
		return nil, errors.New("the id of a schema has 32 bits")
	}
	return &Format{Name: "avro", Kind: document.Coded, Coder: &avroCoder{AvroOptions: o, schema: s}, Media: "application/avro", Shape: avroShape(s, 0)}, nil
}

type avroCoder struct {
	AvroOptions
	schema avro.Schema
}

const confluentPrefix = 5

func (c *avroCoder) Decode(payload []byte) (value.Value, error) {
	r := avroReader{b: payload, left: newBudget()}
	if c.Confluent {
		switch {
		case len(payload) < confluentPrefix || payload[0] != 0:
			return value.Value{}, errors.New("it does not begin with a zero byte and the id of a schema")
		case c.ID >= 0 && int64(binary.BigEndian.Uint32(payload[1:])) != c.ID:
			return value.Value{}, fmt.Errorf("it was written with schema %d, not %d", binary.BigEndian.Uint32(payload[1:]), c.ID)
		}
		r.at = confluentPrefix
	}
	x, err := r.value(c.schema, 0)
	if err == nil && r.at < len(payload) {
		err = errTrailing
	}
	if err != nil {
		return value.Value{}, fmt.Errorf("%w, at byte %d", err, r.at)
	}
	return value.Unbox(x), nil
}

// avroReader is one payload on its way to a value.
type avroReader struct {
	b    []byte
	at   int
	left budget
}

// long reads a variable-length zig-zag integer, which is also how lengths are written.
func (r *avroReader) long() (int64, error) {
	n, size := binary.Varint(r.b[r.at:])
	switch {
	case size == 0:
		return 0, errShort
	case size < 0:
		return 0, errors.New("an integer of more than 64 bits")
	}
	r.at += size
	return n, nil
}

// take gives the next n bytes, which alias the payload.
func (r *avroReader) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(r.b)-r.at) {
		return nil, errShort
	}
	b := r.b[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

func (r *avroReader) bytes() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

func (r *avroReader) value(s avro.Schema, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	if err := r.left.take(1); err != nil {
		return nil, err
	}
	switch s := s.(type) {
	case *avro.RefSchema:
		return r.value(s.Schema(), depth+1)
	case *avro.NullSchema:
		return nil, nil
	case *avro.PrimitiveSchema:
		return r.primitive(s)
	case *avro.FixedSchema:
		b, err := r.take(int64(s.Size()))
		if err != nil {
			return nil, err
		}
		return fromLogical(s.Logical(), b)
	case *avro.EnumSchema:
		return r.symbol(s)
	case *avro.UnionSchema:
		return r.union(s, depth)
	case *avro.RecordSchema:
		return r.record(s, depth)
	case *avro.ArraySchema:
		return r.list(s, depth)
	case *avro.MapSchema:
		return r.mapping(s, depth)
	}
	return nil, fmt.Errorf("the type %s is not known", s.Type())
}

func (r *avroReader) symbol(s *avro.EnumSchema) (any, error) {
	n, err := r.long()
	if err == nil && (n < 0 || n >= int64(len(s.Symbols()))) {
		err = fmt.Errorf("the enum %s has no symbol %d", s.Name(), n)
	}
	if err != nil {
		return nil, err
	}
	return s.Symbols()[n], nil
}

func (r *avroReader) union(s *avro.UnionSchema, depth int) (any, error) {
	n, err := r.long()
	if err == nil && (n < 0 || n >= int64(len(s.Types()))) {
		err = fmt.Errorf("a union has no branch %d", n)
	}
	if err != nil {
		return nil, err
	}
	return r.value(s.Types()[n], depth+1)
}

func (r *avroReader) record(s *avro.RecordSchema, depth int) (any, error) {
	if err := r.left.take(mapValues); err != nil {
		return nil, err
	}
	m := make(map[string]any, len(s.Fields()))
	for _, f := range s.Fields() {
		x, err := r.value(f.Type(), depth+1)
		if err != nil {
			return nil, member(f.Name(), err)
		}
		m[f.Name()] = x
	}
	return m, nil
}

// block reads how many items follow; 0 is the end.
func (r *avroReader) block() (int64, error) {
	n, err := r.long()
	if err != nil || n >= 0 {
		return n, err
	}
	if n = -n; n < 0 {
		return 0, errTooMany
	}
	_, err = r.long() // the size in bytes, for those who skip
	return n, err
}

func (r *avroReader) list(s *avro.ArraySchema, depth int) (any, error) {
	l := []any{}
	for {
		n, err := r.block()
		if err == nil && n > int64(r.left) {
			err = errTooMany
		}
		if err != nil || n == 0 {
			return l, err
		}
		for range n {
			x, err := r.value(s.Items(), depth+1)
			if err != nil {
				return nil, element(len(l), err)
			}
			l = append(l, x)
		}
	}
}

func (r *avroReader) mapping(s *avro.MapSchema, depth int) (any, error) {
	if err := r.left.take(mapValues); err != nil {
		return nil, err
	}
	m := map[string]any{}
	for {
		n, err := r.block()
		if err == nil && n > int64(r.left) {
			err = errTooMany
		}
		if err != nil || n == 0 {
			return m, err
		}
		for range n {
			name, err := r.text()
			if err != nil {
				return nil, err
			}
			x, err := r.value(s.Values(), depth+1)
			if err != nil {
				return nil, member(name, err)
			}
			m[name] = x
		}
	}
}
