package reference

import (
	"reflect"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
)

// Codec is a codec with its options.
type Codec struct {
	Name, Doc, Example string
	// Bytes: it replaces the payload by other bytes, and says nothing of how body reads.
	Bytes  bool
	Fields []Field
}

// codecs reads the codecs, and what decode and encode take: a word, a mapping of one word to options, or a list of these.
func (b *builder) codecs() {
	word := &Type{Kind: Text, Raw: true}
	options := &Type{Kind: Struct, Name: "codec"}
	for _, t := range config.CodecTypes() {
		c := Codec{Name: t.Name, Doc: t.Doc, Example: t.Example, Bytes: t.Bytes, Fields: b.fieldsOf(reflect.TypeOf(t.New()).Elem())}
		if len(b.comments) > 0 { // these are not documented in keyDocs
			b.note(t.Name, c.Fields)
		}
		b.grammar.Codecs = append(b.grammar.Codecs, c)
		word.Words = append(word.Words, t.Name)
		options.Fields = append(options.Fields, Field{Name: t.Name, Doc: t.Doc, Type: &Type{Kind: Struct, Fields: c.Fields}})
		options.OneOf = append(options.OneOf, t.Name)
	}
	one := &Type{Kind: Either, Types: []*Type{word, options}}
	b.own["config.Codecs"] = &Type{Kind: Either, Called: "codec or list of codecs", Types: []*Type{word, options, {Kind: List, Elem: one}}}
}

// CodecPage documents a codec.
func (g *Grammar) CodecPage(c *Codec) string {
	var p page
	p.line("## %s\n\n%s", c.Name, c.Doc)
	if len(c.Fields) > 0 {
		p.line("")
		p.options("", c.Fields)
	}
	p.line("\n    %s", c.Example)
	return p.String()
}

// CodecsDoc is docs/codecs.md.
func (g *Grammar) CodecsDoc() string {
	var p page
	p.line("%s# Codecs\n\n%s", generated, strings.TrimSpace(codecsText))
	for i := range g.Codecs {
		p.line("\n%s", strings.TrimRight(g.CodecPage(&g.Codecs[i]), "\n"))
	}
	return p.String()
}

const codecsText = `
` + "`decode:`" + ` beside the connector of a source says what payloads are, ` + "`encode:`" + ` beside that of a sink what they are to be; both are verbs too.
They take a codec, a codec with options, or a list: ` + "`decode: [gzip, { csv: { delimiter: \";\" } }]`" + `. A list is read from left to right: what is
undone first, or done first, stands first. ` + "`millstream docs CODEC`" + ` prints what follows.

*Byte codecs* (gzip, zstd, snappy, base64) replace the payload at once, before the first node; ` + "`raw`" + ` stays what was received. All others are
*formats*: they say how body reads. A payload that no expression reads is not parsed, and goes out as it came; a format other than JSON is
parsed whole at the first read. A body that a node wrote goes out in the format in which it came, or as encode says.

What a codec does not expect fails the message with the class permanent and the code decode; what a format cannot say (bytes in JSON, a
number that is not finite, a field that a schema does not have) with the code encode, and the error names the path. Integers are exact: one
beyond 64 bits with a sign is an error. In JSON and YAML such a number reads as the nearest float, of which no text, key or id can be made;
what no node has written leaves with all its digits, and so does a path that a line of transform copies as it is. Bytes stay bytes and times stay times where a format has them.

No payload may be deeper than 128 lists and maps (512 in JSON) or hold more than 1,000,000 values (a map counts as
five; 250,000 in XML and YAML). A compressed payload may become 100 times its size (64 KiB in any case), and 4 times max_message at most; a
list has one compression.

*Lines.* With stdin, stdout, and file with framing: lines, a payload is one line of text. Codecs that make bytes are findings there unless
base64 is around them, and so is yaml for a sink. ` + "`encode: json`" + ` puts JSON that came on several lines on one; without it, a newline in a payload
is an error. A row of CSV is a line. The first line of each file or stream that is read is its header, and no message; body is the list of the
one row, as it is the list of all rows with framing: whole, and ` + "`raw`" + ` the line. A sink writes one row per message, of a map or of a list with one
row. With ` + "`columns`" + ` it begins each file with the header; with ` + "`header: [id, n]`" + ` or ` + "`header: false`" + ` it writes none. A field that holds a newline
is no part of a line: such files are read with framing: whole.

` + "```yaml" + `
name: large-readings
from:
  file: { path: "in/*.csv" }
  decode: { csv: { types: { n: int } } }
steps:
  - split: body
  - filter: body.n > 5
to:
  file: { path: out/large.csv }
  encode: { csv: { columns: [id, n] } }
tests:
  - name: keeps what is large
    send: [{ body: [{ id: d1, n: 5 }] }, { body: [{ id: d2, n: 7 }] }]
    expect: { to: [{ text: "d2,7" }] }
` + "```" + `
`
