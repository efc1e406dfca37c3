package call

import (
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/internal/httpclient"
)

// read makes a value of an answer, or the failure that it means. host is named in errors.
func read(r *httpclient.Response, host string) (value.Value, error) {
	if e := httpclient.StatusError(r); e != nil {
		e.Message = host + ": " + e.Message
		return value.Value{}, e
	}
	if r.Cut {
		return value.Value{}, flow.Errorf(flow.Permanent, flow.CodeTooLarge, "%s: the answer has more than the %d bytes of max_body", host, len(r.Body))
	}
	body, err := readBody(r)
	if err != nil {
		return value.Value{}, flow.Errorf(flow.Permanent, flow.CodeDecode, "%s: the answer %w", host, err)
	}
	headers := make(map[string]any, len(r.Header))
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
	}
	return value.Map(map[string]any{"status": r.Status, "headers": headers, "body": body}), nil
}

func readBody(r *httpclient.Response) (any, error) {
	if len(r.Body) == 0 || r.Status == http.StatusNoContent {
		return nil, nil
	}
	if isJSON(r.Header.Get("Content-Type")) {
		v, err := value.ParseJSON(r.Body)
		if err != nil {
			return nil, &badAnswer{"is not the JSON that it says it is", err}
		}
		return v.Box(), nil
	}
	if !utf8.Valid(r.Body) {
		return nil, &badAnswer{"is neither JSON nor text", nil}
	}
	return string(r.Body), nil
}

// badAnswer is an answer that cannot be read.
type badAnswer struct {
	says  string
	cause error
}

func (b *badAnswer) Error() string {
	if b.cause == nil {
		return b.says
	}
	return b.says + ": " + b.cause.Error()
}

func (b *badAnswer) Unwrap() error { return b.cause }

// isJSON tells whether a media type is JSON: application/json, or any with +json (RFC 6839).
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}
