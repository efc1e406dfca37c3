// Package cloudevent is the verb cloudevent: it wraps the body into an event of CloudEvents 1.0 in structured mode, as JSON. It does not
// read events: a structured one is JSON like any other, and the attributes of a binary one are meta.
package cloudevent

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"mime"
	"slices"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
)

// Type is the verb cloudevent.
func Type() config.NodeType {
	return config.NodeType{
		Name: "cloudevent",
		Doc:  "Wraps the body into a CloudEvent.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Cloudevent gives the attributes of the event. specversion, time (the event time) and datacontenttype come by themselves. The body
	// becomes data; bytes become data_base64, and without a payload there is neither. The message then is application/cloudevents+json.
	Cloudevent Options `yaml:"cloudevent" required:"true"`
}

// Options are the options of cloudevent. An attribute that CloudEvents does not allow fails the message with the code encode; where it
// reads nothing of the message, it is found when the file is checked.
type Options struct {
	// Type says what has happened, such as com.example.order.paid.
	Type config.Template `yaml:"type" required:"true"`
	// Source says where, as a URI reference, such as /shops/berlin or https://example.com/shop. What is not allowed in one is written with
	// encodeURL.
	Source config.Template `yaml:"source" required:"true"`
	// Subject says what it has happened to, within the source.
	Subject config.Template `yaml:"subject"`
	// ID tells events of one source apart. Left out: the message's id, which stays the same when a message comes again.
	ID config.Template `yaml:"id"`
	// Extensions are further attributes by name: lower-case letters and digits, 20 at most. They are texts.
	Extensions map[string]config.Template `yaml:"extensions"`
}

// contentType is the media type of an event in structured mode (JSON Event Format, section 3).
const contentType = "application/cloudevents+json"

// Format implements config.Recoder: an event is JSON, whatever the body was.
func (*Config) Format() document.Format { return document.JSON }

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	o := &c.Cloudevent
	p := &processor{}
	p.add(b, "id", o.ID)
	p.add(b, "source", o.Source)
	p.add(b, "type", o.Type)
	p.add(b, "subject", o.Subject)
	names := make([]string, 0, len(o.Extensions))
	for name := range o.Extensions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if problem, hint := checkName(name); problem != "" {
			reportName(b, name, problem, hint)
			continue
		}
		p.add(b, name, o.Extensions[name])
	}
	p.ownID = o.ID.Set
	return config.Node{Processor: p, Body: p.shape(b)}
}

func reportName(b *config.Builder, name, problem, hint string) {
	at := b.Value
	for _, key := range []string{"cloudevent", "extensions", name} {
		if next, ok := at.Lookup(key); ok {
			at = next
		}
	}
	key, ok := at.Key()
	if !ok {
		key = at.Scalar()
	}
	b.Findings.Add(key.Whole(diag.BadValue, problem, hint))
}

type processor struct {
	attributes []attribute
	ownID      bool
}

type attribute struct {
	name string
	text *expression.Template
}

// add compiles an attribute, and checks it when it is the same for all messages.
func (p *processor) add(b *config.Builder, name string, t config.Template) {
	text := b.Template(t)
	if text == nil {
		return
	}
	if constant, ok := text.Constant(); ok {
		if problem := check(name, constant); problem != "" {
			b.Findings.Add(t.Text.Scalar.Whole(diag.BadValue, name+" "+problem, ""))
			return
		}
	}
	p.attributes = append(p.attributes, attribute{name, text})
}

// shape is what is known of the event.
func (p *processor) shape(b *config.Builder) *expression.Shape {
	text := &expression.Shape{Kind: value.KindString}
	s := &expression.Shape{Kind: value.KindMap, Rest: expression.Likely, Fields: map[string]*expression.Shape{
		"specversion": text, "id": text, "time": text, "datacontenttype": text,
	}}
	for _, a := range p.attributes {
		s.Fields[a.name] = text
	}
	switch b.Scope.Format {
	case document.Bytes:
		s.Fields["data_base64"] = text
	case document.Text:
		s.Fields["data"] = text
	default:
		s.Fields["data"] = b.Scope.Body
	}
	return s
}

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	event := append(make([]byte, 0, 512+len(m.Payload())), `{"specversion":"1.0"`...)
	var err error
	if !p.ownID {
		if event, err = appendAttribute(event, "id", m.ID()); err != nil {
			return err
		}
	}
	for _, a := range p.attributes {
		text, err := a.text.Render(m, nil)
		if err != nil {
			return err
		}
		if event, err = appendAttribute(event, a.name, string(text)); err != nil {
			return err
		}
	}
	if t := m.Time(); !t.IsZero() {
		event, _ = appendAttribute(event, "time", t.UTC().Format(time.RFC3339Nano))
	}
	if event, err = appendData(event, m); err != nil {
		return err
	}
	c := e.Copy(m)
	c.Reopen(append(event, '}'), document.JSON, nil, &flow.Content{Type: contentType})
	e.Emit(0, c)
	return nil
}

func appendAttribute(event []byte, name, text string) ([]byte, error) {
	if problem := check(name, text); problem != "" {
		return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "the attribute %s %s", name, problem)
	}
	return appendMember(event, name, text)
}

func appendMember(event []byte, name, text string) ([]byte, error) {
	event = append(event, ',', '"')
	event = append(append(event, name...), '"', ':')
	return value.AppendJSON(event, value.String(text))
}

// appendData writes the body: JSON as it is, text as text, bytes in Base64 (JSON Event Format, section 3.1).
func appendData(event []byte, m *flow.Message) ([]byte, error) {
	if m.Body.Written() && m.Body.None() {
		return event, nil
	}
	format, _ := m.Format()
	if format == document.Text || format == document.Bytes {
		return appendText(event, m, format)
	}
	data, err := jsonOf(m, format)
	if err != nil || len(data) == 0 {
		return event, err
	}
	event = append(event, `,"datacontenttype":"application/json","data":`...)
	return append(event, data...), nil
}

func appendText(event []byte, m *flow.Message, format document.Format) ([]byte, error) {
	if err := m.Body.Open(); err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	data, fallback := m.Payload(), "text/plain"
	if m.Body.Written() {
		var err error
		if data, err = m.Body.AppendTo(nil); err != nil {
			return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "%w", err)
		}
	}
	if data == nil {
		return event, nil
	}
	member, text := "data", string(data)
	if format == document.Bytes {
		member, text, fallback = "data_base64", base64.StdEncoding.EncodeToString(data), "application/octet-stream"
	}
	event, err := appendMember(event, "datacontenttype", cmp.Or(mediaType(m), fallback))
	if err != nil {
		return nil, err
	}
	return appendMember(event, member, text)
}

// mediaType is what the source says the payload is; "" when it says nothing of use.
func mediaType(m *flow.Message) string {
	props := m.Record().Props
	if props == nil || m.Reopened() {
		return ""
	}
	if _, _, err := mime.ParseMediaType(props.ContentType); err != nil || check("datacontenttype", props.ContentType) != "" {
		return ""
	}
	return props.ContentType
}

// jsonOf is the body as JSON; empty when there is no payload.
func jsonOf(m *flow.Message, format document.Format) ([]byte, error) {
	if format == document.JSON {
		if err := m.Body.Open(); err != nil {
			return nil, flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
		}
		if !m.Body.Written() {
			return bytes.TrimSpace(m.Payload()), nil
		}
		data, err := m.Body.AppendTo(nil)
		if err != nil {
			return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "%w", err)
		}
		return data, nil
	}
	v, err := m.Body.Get(document.Root)
	if err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeDecode, "%w", err)
	}
	data, err := value.AppendJSON(nil, v)
	if err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "%w", err)
	}
	return data, nil
}
