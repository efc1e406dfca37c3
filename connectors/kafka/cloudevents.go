package kafka

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// The Kafka protocol binding of CloudEvents 1.0: attributes are headers with a prefix, but for the content type of the data.
const (
	binaryEvents     = "binary"
	attributePrefix  = "ce_"
	contentType      = "content-type"
	structuredEvents = "application/cloudevents+json; charset=UTF-8"
)

// asCloudEvent makes the record of a body that is a CloudEvent in JSON. An event that came in binary mode goes on as it is,
// or is put together for structured mode.
func asCloudEvent(mode string, o *flow.Outgoing, headers []kgo.RecordHeader) ([]kgo.RecordHeader, error) {
	if mode == binaryEvents && hasHeader(headers, attributePrefix+"specversion") {
		return headers, nil
	}
	if mode != binaryEvents && isBinaryEvent(headers) {
		body, err := structured(o.Body, headers)
		if err != nil {
			return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "the headers make no CloudEvent: %w", err)
		}
		o.Rewrite(body)
	}
	event, err := readEvent(o.Body)
	if err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "the body is no CloudEvent: %w", err)
	}
	kept := slices.DeleteFunc(slices.Clone(headers), func(h kgo.RecordHeader) bool {
		return h.Key == contentType || strings.HasPrefix(strings.TrimPrefix(h.Key, hintPrefix), attributePrefix)
	})
	if mode != binaryEvents {
		return append(kept, kgo.RecordHeader{Key: contentType, Value: []byte(structuredEvents)}), nil
	}
	data, err := event.data()
	if err != nil {
		return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "the body is no CloudEvent: %w", err)
	}
	o.Rewrite(data)
	return append(kept, event.headers...), nil
}

func hasHeader(headers []kgo.RecordHeader, name string) bool {
	return slices.ContainsFunc(headers, func(h kgo.RecordHeader) bool { return h.Key == name })
}

// event is a CloudEvent taken apart.
type event struct {
	headers    []kgo.RecordHeader
	dataType   string
	plain      json.RawMessage // data; nil is none
	encoded    *string         // data_base64
	attributes map[string]bool
}

// readEvent takes a structured event apart (CloudEvents JSON format, section 3).
func readEvent(body []byte) (*event, error) {
	var members map[string]json.RawMessage
	if len(body) == 0 {
		return nil, fmt.Errorf("there is no payload")
	}
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, fmt.Errorf("it is no JSON object")
	}
	e := &event{attributes: map[string]bool{}}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := e.member(name, members[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if !e.attributes[name] {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	if e.plain != nil && e.encoded != nil {
		return nil, fmt.Errorf("it has both data and data_base64")
	}
	return e, nil
}

func (e *event) member(name string, raw json.RawMessage) error {
	switch {
	case string(raw) == "null":
		return nil // as if it was not there
	case name == "data":
		e.plain = raw
		return nil
	case name == "data_base64":
		return json.Unmarshal(raw, &e.encoded)
	case !attributeName(name):
		return fmt.Errorf("%q is no name of an attribute: it has small letters and digits", name)
	}
	text := string(raw) // a number or a bool as it is written
	switch raw[0] {
	case '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	case '{', '[':
		return fmt.Errorf("attribute %s is no text, number or bool", name)
	}
	e.attributes[name] = text != ""
	header := kgo.RecordHeader{Key: attributePrefix + name, Value: []byte(text)}
	if name == "datacontenttype" {
		e.dataType, header.Key = text, contentType
	}
	e.headers = append(e.headers, header)
	return nil
}

func attributeName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// data is the event's data as binary mode carries it; nil is none, which is a tombstone in Kafka.
func (e *event) data() ([]byte, error) {
	if e.encoded != nil {
		b, err := base64.StdEncoding.DecodeString(*e.encoded)
		if err != nil {
			return nil, fmt.Errorf("data_base64: %w", err)
		}
		return b, nil
	}
	if e.plain != nil && e.plain[0] == '"' && !jsonType(e.dataType) {
		var text string
		if err := json.Unmarshal(e.plain, &text); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		return []byte(text), nil
	}
	return e.plain, nil
}

// jsonType tells whether a content type is JSON; none stands for it.
func jsonType(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json"))
}
