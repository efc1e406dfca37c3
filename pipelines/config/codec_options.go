package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/internal/textfile"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// maxCodecFile is the most bytes that a schema of a codec may have, each of its files by itself.
const maxCodecFile = 1 << 20

// plainConfig is a codec without options.
type plainConfig struct{ format func() *codec.Format }

func plain(format func() *codec.Format) func() CodecConfig {
	return func() CodecConfig { return &plainConfig{format} }
}

func (c *plainConfig) build(*Builder, yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	return c.format(), nil
}

type csvConfig struct {
	// Header says where the columns' names come from. true: the first line holds them. A list: they are these, and no line holds them.
	// false: there are none, and a row is a list.
	Header csvHeader `yaml:"header"`
	// Columns is the order in which columns are written when the header is true. Left out: by name.
	Columns []string `yaml:"columns"`
	// Delimiter is the one character that stands between fields.
	Delimiter string `yaml:"delimiter" default:","`
	// Types are the types of columns that are not text, by name. An empty field of these is nil.
	Types map[string]string `yaml:"types" oneof:"int float bool string"`
}

// csvHeader is a bool or a list of names.
type csvHeader struct {
	none  bool
	names []string
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (h *csvHeader) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	if v.Kind() == yamldoc.KindSequence {
		if len(v.Items()) == 0 {
			c.WrongType(v, "true, false, or the names of the columns")
		}
		yamldoc.Decode(v, &h.names, c)
		return
	}
	text := v.Scalar().Text
	if v.Kind() != yamldoc.KindScalar || text != "true" && text != "false" {
		c.WrongType(v, "true, false, or the names of the columns")
	}
	h.none = text == "false"
}

// FieldKind tells the reference what stands here.
func (h *csvHeader) FieldKind() string { return "any value" }

func (c *csvConfig) build(b *Builder, at yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	delimiter := []rune(c.Delimiter)
	if len(delimiter) != 1 {
		return nil, b.badCodec(at, errors.New("the delimiter is one character"))
	}
	o := codec.CSVOptions{Header: !c.Header.none && c.Header.names == nil, Columns: c.Columns, Delimiter: delimiter[0], Types: c.Types}
	if c.Header.names != nil {
		o.Columns = c.Header.names
	}
	if c.Columns != nil && !o.Header {
		return nil, b.badCodec(at, errors.New("columns is the order of a header line, and header says that there is none"))
	}
	if c.Header.none && len(c.Types) > 0 {
		return nil, b.badCodec(at, errors.New("types names columns, and header: false says that they have no names"))
	}
	f, err := codec.CSV(o)
	if err != nil {
		return nil, b.badCodec(at, err)
	}
	return f, nil
}

type xmlConfig struct {
	// Lists are the elements that are lists even where there is only one of them, by their names as written.
	Lists []string `yaml:"lists"`
}

func (c *xmlConfig) build(*Builder, yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	return codec.XML(codec.XMLOptions{Lists: c.Lists}), nil
}

type cborConfig struct{}

func (c *cborConfig) build(b *Builder, at yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	f, err := codec.CBOR()
	if err != nil {
		return nil, b.badCodec(at, err)
	}
	return f, nil
}

type avroConfig struct {
	// Schema is the file of the schema that the payloads are written with, relative to the pipeline file.
	Schema yamldoc.Text `yaml:"schema" required:"true"`
	// Confluent: a zero byte and the id of the schema stand before each value, as the serializers of a schema registry write them. No
	// registry is asked.
	Confluent bool `yaml:"confluent"`
	// SchemaID is that id: what is written, and what must be read. Left out: any is read, and none can be written.
	SchemaID *uint32 `yaml:"schema_id"`
}

func (c *avroConfig) build(b *Builder, at yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	o := codec.AvroOptions{Confluent: c.Confluent, ID: -1}
	switch {
	case c.SchemaID != nil && !c.Confluent:
		return nil, b.badCodec(at, errors.New("schema_id stands in payloads with confluent: true only"))
	case c.SchemaID != nil:
		o.ID = int64(*c.SchemaID)
	}
	path := b.beside(c.Schema.Scalar.Text)
	text, err := b.readFile(path)
	if err != nil {
		b.unreadable(&c.Schema, err)
		return nil, nil
	}
	o.Schema = text
	f, err := codec.Avro(o)
	if err != nil {
		b.Findings.Add(c.Schema.Whole(diag.BadCodec, fmt.Sprintf("%s is no schema of Avro: %s", c.Schema.Shown(), err), ""))
		return nil, nil
	}
	return f, nil
}

type gzipConfig struct {
	// Level is how hard to try, from 1 (fast) to 9 (small).
	Level int `yaml:"level" default:"6"`
}

func (c *gzipConfig) build(b *Builder, at yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	l, err := codec.Gzip(c.Level)
	if err != nil {
		return nil, b.badCodec(at, err)
	}
	return nil, &l
}

type zstdConfig struct{}

func (c *zstdConfig) build(b *Builder, at yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	l, err := codec.Zstd()
	if err != nil {
		return nil, b.badCodec(at, err)
	}
	return nil, &l
}

type snappyConfig struct {
	// Framed is the framing format, as files have it; without it a payload is one block.
	Framed bool `yaml:"framed"`
}

func (c *snappyConfig) build(*Builder, yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	l := codec.Snappy(c.Framed)
	return nil, &l
}

type base64Config struct {
	// URL is the alphabet with - and _.
	URL bool `yaml:"url"`
	// Padding: the text ends in = where it must.
	Padding bool `yaml:"padding" default:"true"`
}

func (c *base64Config) build(*Builder, yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	l := codec.Base64(c.URL, c.Padding)
	return nil, &l
}

// badCodec adds a finding about a codec; its result stands for the layer that there is not.
func (b *Builder) badCodec(at yamldoc.Scalar, err error) *codec.Layer {
	b.Findings.Add(at.Whole(diag.BadCodec, at.Text+": "+err.Error(), ""))
	return nil
}

func (b *Builder) unreadable(path *yamldoc.Text, err error) {
	b.Findings.Add(path.Whole(diag.BadCodec, fmt.Sprintf("cannot read %s: %s", path.Shown(), err), "the path is relative to the pipeline file"))
}

// beside is a path relative to the pipeline file.
func (b *Builder) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.Dir, path)
}

// readFile reads what a file of the pipeline names and notes what it read.
func (b *Builder) readFile(path string) ([]byte, error) {
	text, err := textfile.Read(path, maxCodecFile)
	if b.FileRead != nil {
		b.FileRead(path, text, err)
	}
	if err != nil {
		return nil, err
	}
	b.Read = append(b.Read, sumOf(text))
	return text, nil
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// firstRequired names an option without which a codec is nothing.
func firstRequired(c CodecConfig) string {
	t := reflect.TypeOf(c).Elem()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("required") == "true" {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			return name
		}
	}
	return ""
}

// defaults sets the options that were not written.
func defaults(c CodecConfig) CodecConfig {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		text, ok := v.Type().Field(i).Tag.Lookup("default")
		if !ok {
			continue
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(text)
		case reflect.Bool:
			f.SetBool(text == "true")
		case reflect.Int:
			n, _ := strconv.Atoi(text) // the tag is ours
			f.SetInt(int64(n))
		default:
		}
	}
	return c
}
