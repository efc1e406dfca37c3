package httpclient_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/httpclient"
)

func TestAStatusHasAClass(t *testing.T) {
	tests := []struct {
		status int
		after  string
		class  flow.Class
		code   flow.Code
		wait   time.Duration
	}{
		{status: 304, class: flow.Permanent, code: flow.CodeRefused},
		{status: 400, class: flow.Permanent, code: flow.CodeRefused},
		{status: 401, class: flow.Permanent, code: flow.CodeRefused},
		{status: 404, class: flow.Permanent, code: flow.CodeRefused, after: "5"},
		{status: 408, class: flow.Transient, code: flow.CodeUnavailable},
		{status: 413, class: flow.Permanent, code: flow.CodeTooLarge},
		{status: 429, class: flow.Transient, code: flow.CodeThrottled, after: "7", wait: 7 * time.Second},
		{status: 500, class: flow.Transient, code: flow.CodeUnavailable},
		{status: 503, class: flow.Transient, code: flow.CodeUnavailable, after: "999999", wait: 10 * time.Minute},
		{status: 503, class: flow.Transient, code: flow.CodeUnavailable, after: "-1"},
		{status: 503, class: flow.Transient, code: flow.CodeUnavailable, after: "soon"},
		{status: 599, class: flow.Transient, code: flow.CodeUnavailable},
	}
	for _, test := range tests {
		e := httpclient.StatusError(&httpclient.Response{Status: test.status, Header: http.Header{"Retry-After": {test.after}}})
		if e == nil || e.Class != test.class || e.Code != test.code || e.After != test.wait {
			t.Errorf("%d %q: %+v", test.status, test.after, e)
		}
	}
	for _, status := range []int{200, 201, 204, 299} {
		if e := httpclient.StatusError(&httpclient.Response{Status: status}); e != nil {
			t.Errorf("%d: %v", status, e)
		}
	}
}

func TestRetryAfterMayBeADate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
		"Sat, 02 Jan 2027 03:04:35 GMT": 10 * time.Minute,
	} {
		if got := httpclient.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestHeadersThatBreakTheProtocolAreFound(t *testing.T) {
	tests := []struct {
		name, value string
		good        bool
	}{
		{"a", "b", true},
		{"x-a_b", "tab\tinside, caf\xc3\xa9 \xff", true},
		{"a", "", true},
		{"", "b", false},
		{"a b", "c", false},
		{"a\r\nb", "c", false},
		{"a", "b\nc", false},
		{"a", "b\x00c", false},
		{"a", "b\x7f", false},
		{"a", " b", false},
		{"a", "b\t", false},
	}
	for _, test := range tests {
		if got := httpclient.ValidHeader(test.name, test.value); got != test.good {
			t.Errorf("%q: %q is %v", test.name, test.value, got)
		}
	}
}
