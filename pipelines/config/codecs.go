package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// CodecType describes a codec that decode and encode may name.
type CodecType struct {
	Name, Doc string
	// Bytes: it replaces the payload by other bytes and says nothing of how body reads.
	Bytes bool
	// Example is a value of decode with its options.
	Example string
	// New makes its options with nothing set: a pointer to a struct with yaml tags.
	New func() CodecConfig
}

// CodecConfig are the decoded options of a codec.
type CodecConfig interface {
	// build compiles the options; at is where the codec stands. What is wrong goes to b.Findings.
	build(b *Builder, at yamldoc.Scalar) (*codec.Format, *codec.Layer)
}

// CodecTypes lists all codecs, in the order of the reference.
func CodecTypes() []CodecType {
	return []CodecType{
		{Name: "json", Doc: "JSON, read as far as expressions ask. What every source decodes that says nothing else.", Example: "decode: json",
			New: plain(codec.JSON)},
		{Name: "ndjson", Doc: "Lines of JSON: the body is the list of their values; split makes a message of each. A list is written as one line for each " +
			"element, anything else as one line.", Example: "decode: [gzip, ndjson]", New: plain(codec.NDJSON)},
		{Name: "text", Doc: "UTF-8: the body is one string.", Example: "decode: text", New: plain(codec.Text)},
		{Name: "bytes", Doc: "Anything: the body is bytes, for bytesAt and the like.", Example: "decode: bytes", New: plain(codec.Bytes)},
		{Name: "csv", Doc: "Rows of fields, as in RFC 4180. The body is always a list, also of one row: split makes a message of each. A row is a map of " +
			"its columns' names to texts. A map is written as one row, with the header line before it; where payloads are lines, that line stands once above them.",
			Example: "decode: { csv: { delimiter: \";\", types: { amount: int } } }", New: func() CodecConfig { return &csvConfig{} }},
		{Name: "xml", Doc: "One element of XML: the body is a map of its name to its content. An element that has text alone is that text; any other is a map " +
			"of its attributes (@name), its text (#text) and its elements, of which those that repeat are a list. Names keep their prefix. " +
			"Document types and entities of one's own are errors.",
			Example: "decode: { xml: { lists: [item] } }", New: func() CodecConfig { return &xmlConfig{} }},
		{Name: "yaml", Doc: "One document of YAML with the literals of JSON: dates are texts, and what only some readers take for a number must be quoted.",
			Example: "encode: yaml", New: plain(codec.YAML)},
		{Name: "msgpack", Doc: "MessagePack. Its timestamps are times; other extensions are errors.", Example: "decode: msgpack", New: plain(codec.Msgpack)},
		{Name: "cbor", Doc: "CBOR, RFC 8949. Its times are times; tags that say something else are errors.", Example: "decode: cbor",
			New: func() CodecConfig { return &cborConfig{} }},
		{Name: "avro", Doc: "A value in Avro's binary encoding, read and written with one schema, which also types body for validate. Enums, uuids and " +
			"decimals are texts, dates and timestamps times. Of a union the value itself is read, and the first branch that takes it is written.",
			Example: "decode: { avro: { schema: reading.avsc } }", New: func() CodecConfig { return &avroConfig{} }},
		{Name: "protobuf", Doc: "A message of Protocol Buffers, whose .proto file also types body for validate. Fields have the names of that file, enums " +
			"are the names of their values, Timestamp and Duration times and durations. An optional field that is not set is not there.",
			Example: "decode: { protobuf: { file: reading.proto, message: plant.Reading } }", New: func() CodecConfig { return &protobufConfig{} }},
		{Name: "gzip", Bytes: true, Doc: "Compression with gzip.", Example: "decode: [gzip, json]", New: func() CodecConfig { return &gzipConfig{} }},
		{Name: "zstd", Bytes: true, Doc: "Compression with Zstandard.", Example: "encode: [json, zstd]", New: func() CodecConfig { return &zstdConfig{} }},
		{Name: "snappy", Bytes: true, Doc: "Compression with Snappy: one block, or framed.", Example: "decode: [{ snappy: { framed: true } }, json]",
			New: func() CodecConfig { return &snappyConfig{} }},
		{Name: "base64", Bytes: true, Doc: "Bytes as text.", Example: "decode: [base64, json]", New: func() CodecConfig { return &base64Config{} }},
	}
}

func codecType(name string) (CodecType, bool) {
	for _, t := range CodecTypes() {
		if t.Name == name {
			return t, true
		}
	}
	return CodecType{}, false
}

func codecNames() []string {
	var names []string
	for _, t := range CodecTypes() {
		names = append(names, t.Name)
	}
	return names
}

// Codecs is what decode and encode take: a codec, or a list of them. A codec is a word, or a mapping of the word to its options.
type Codecs struct {
	items []codecItem
	value *yamldoc.Value
}

type codecItem struct {
	at     yamldoc.Scalar
	kind   CodecType
	config CodecConfig
}

// Value is what was written; nil when nothing was.
func (k *Codecs) Value() *yamldoc.Value { return k.value }

// At is where a codec is named; where there is none of that name, the first one.
func (k *Codecs) At(name string) *yamldoc.Scalar {
	for i := range k.items {
		if k.items[i].kind.Name == name {
			return &k.items[i].at
		}
	}
	return &k.items[0].at
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (k *Codecs) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	k.value = v
	items := []*yamldoc.Value{v}
	if v.Kind() == yamldoc.KindSequence {
		items = v.Items()
	}
	if len(items) == 0 {
		v.Finding(c.Findings, diag.MissingKey, "the list of codecs is empty", "name one, or leave it out")
	}
	for _, item := range items {
		k.read(item, c)
	}
}

func (k *Codecs) read(v *yamldoc.Value, c *yamldoc.Context) {
	switch {
	case v.Broken():
	case v.Kind() == yamldoc.KindScalar:
		item, ok := knownCodec(v.Scalar(), c)
		if !ok {
			return
		}
		if option := firstRequired(item.config); option != "" {
			c.Findings.Add(item.at.Whole(diag.MissingKey, fmt.Sprintf("%s needs %s", item.at.Text, option),
				"write it with its options, as in "+item.kind.Example))
			return
		}
		item.config = defaults(item.config)
		k.items = append(k.items, item)
	case v.Kind() == yamldoc.KindMapping && len(v.Entries()) == 1:
		e := v.Entries()[0]
		item, ok := knownCodec(e.Key, c)
		if ok && yamldoc.Decode(e.Value, item.config, c) {
			k.items = append(k.items, item)
		}
	case v.Kind() == yamldoc.KindMapping && len(v.Entries()) > 1:
		c.WrongType(v, "one codec with its options (several are a list)")
	default:
		c.WrongType(v, "a codec, or a list of codecs")
	}
}

func knownCodec(at yamldoc.Scalar, c *yamldoc.Context) (codecItem, bool) {
	t, ok := codecType(at.Text)
	if !ok {
		hint := "codecs: " + strings.Join(codecNames(), ", ")
		if near := diag.Suggest(at.Text, codecNames()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		c.Findings.Add(at.Whole(diag.UnknownName, fmt.Sprintf("unknown codec %q", at.Text), hint))
		return codecItem{}, false
	}
	return codecItem{at: at, kind: t, config: t.New()}, true
}

// Side says which way a list of codecs is read.
type Side int

// The sides. A list is read from left to right: what is undone first, or done first, stands first.
const (
	Decode Side = iota
	Encode
)

// Codecs compiles a field; nil when it was not set or has a finding. What it reads from files is in b.Read afterwards.
func (b *Builder) Codecs(k *Codecs, side Side) *codec.Chain {
	if k == nil || len(k.items) == 0 {
		return nil
	}
	before := b.Findings.ErrorCount()
	chain := &codec.Chain{}
	var compressed, format yamldoc.Scalar
	for _, item := range k.items {
		f, l := item.config.build(b, item.at)
		switch {
		case f != nil && chain.Format != nil:
			b.Findings.Add(item.at.Whole(diag.ConflictingKey, fmt.Sprintf("a body has one format, and this one is %s already", chain.Format.Name),
				"leave one of the two out"))
		case f != nil:
			chain.Format, format = f, item.at
			if side == Encode && len(chain.Layers) > 0 {
				b.misplacedFormat(item.at, k.items[0].at, "encode is read from left to right: first the format, then what wraps it")
			}
		case l != nil && l.Compresses && compressed.Text != "":
			b.Findings.Add(item.at.Whole(diag.ConflictingKey, fmt.Sprintf("%s and %s: a payload is compressed once", compressed.Text, item.at.Text), "leave one of the two out"))
		case l != nil:
			if l.Compresses {
				compressed = item.at
			}
			if side == Decode && chain.Format != nil {
				b.misplacedFormat(format, item.at, "decode is read from left to right: first what wraps the body, then its format")
			}
			chain.Layers = append(chain.Layers, *l)
		}
	}
	if b.Findings.ErrorCount() > before {
		return nil
	}
	if side == Encode {
		slices.Reverse(chain.Layers) // a chain is from the outermost on
	}
	return chain
}

func (b *Builder) misplacedFormat(format, wrapper yamldoc.Scalar, why string) {
	b.Findings.Add(format.Whole(diag.ConflictingKey, fmt.Sprintf("%s stands on the wrong side of %s", format.Text, wrapper.Text), why))
}

// Recoder is a NodeConfig behind which the body reads in another way.
type Recoder interface {
	NodeConfig
	// Format is how body reads behind the node. It may be asked before Build.
	Format() document.Format
}

// Kind is how a body reads that this list decodes: as JSON where it names no format.
func (k *Codecs) Kind() document.Format {
	kinds := map[string]document.Format{"json": document.JSON, "text": document.Text, "bytes": document.Bytes}
	for _, item := range k.items {
		if kind, known := kinds[item.kind.Name]; known {
			return kind
		} else if !item.kind.Bytes {
			return document.Coded
		}
	}
	return document.JSON
}

// IsText tells whether what this list writes is text: a format that is, or base64 around anything.
func (k *Codecs) IsText() bool {
	last := ""
	for _, item := range k.items {
		last = item.kind.Name
	}
	switch last {
	case "json", "ndjson", "text", "csv", "xml", "yaml", "base64":
		return true
	}
	return false
}

// AppendBody writes the body of a message in a format, behind dst: its bytes where it has that format and nobody wrote it. A nil format is
// the message's own.
func AppendBody(dst []byte, m *flow.Message, f *codec.Format) ([]byte, error) {
	kind, coder := m.Format()
	if f == nil || f.Kind == kind && f.Coder == coder {
		if !m.Body.Written() {
			return append(dst, m.Payload()...), nil
		}
		return m.Body.AppendTo(dst)
	}
	v, err := m.Body.Get(document.Root)
	if err != nil {
		return dst, flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	out, err := f.Append(dst, v)
	if err != nil {
		return dst, flow.Errorf(flow.Permanent, flow.CodeEncode, "encode: %w", err)
	}
	return out, nil
}

// ShapeOf is what a format's schema tells of bodies; nil knows nothing.
func ShapeOf(f *codec.Format) *expression.Shape { return shapeOf(f.Shape) }

func shapeOf(s *codec.Shape) *expression.Shape {
	if s == nil {
		return nil
	}
	out := &expression.Shape{Kind: s.Kind, Elem: shapeOf(s.Elem)}
	if s.Fields == nil {
		return out
	}
	out.Fields, out.Rest = make(map[string]*expression.Shape, len(s.Fields)), expression.Closed
	for name, field := range s.Fields {
		out.Fields[name] = shapeOf(field)
	}
	return out
}
