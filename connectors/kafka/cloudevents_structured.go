package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// isBinaryEvent tells whether the headers make an event of a record (Kafka binding of CloudEvents, section 3.2).
func isBinaryEvent(headers []kgo.RecordHeader) bool {
	for _, h := range headers {
		if h.Key == contentType && strings.HasPrefix(string(h.Value), "application/cloudevents") {
			return false
		}
	}
	return hasHeader(headers, attributePrefix+"specversion")
}

// structured puts an event together that came in binary mode (CloudEvents JSON format, section 3). A null value is an event without data.
func structured(body []byte, headers []kgo.RecordHeader) ([]byte, error) {
	members := map[string]any{}
	dataType := ""
	for _, h := range headers {
		name, ok := strings.CutPrefix(h.Key, attributePrefix)
		switch {
		case h.Key == contentType:
			name, dataType = "datacontenttype", string(h.Value)
		case !ok || h.Value == nil:
			continue
		case !attributeName(name):
			return nil, fmt.Errorf("%q is no name of an attribute: it has small letters and digits", name)
		}
		if !utf8.Valid(h.Value) {
			return nil, fmt.Errorf("attribute %s is no text", name)
		}
		members[name] = string(h.Value)
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if members[name] == nil || members[name] == "" {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	switch {
	case body == nil:
	case jsonType(dataType) && json.Valid(body):
		members["data"] = json.RawMessage(body)
	case strings.HasPrefix(dataType, "text/") && utf8.Valid(body):
		members["data"] = string(body)
	default:
		members["data_base64"] = body
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(members); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
