package transport_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
)

func TestHeadersHaveLimitsOnTheWayIntoAnotherTechnology(t *testing.T) {
	many := func(n, size int, prefix string) (hs []flow.Header) {
		for i := range n {
			hs = append(hs, flow.TextHeader(prefix+strconv.Itoa(100+i), strings.Repeat("x", size)))
		}
		return hs
	}
	tests := []struct {
		name    string
		headers []flow.Header
		refused bool
	}{
		{"none", nil, false},
		{"64", many(64, 1, "h"), false},
		{"65", many(65, 1, "h"), true},
		{"one of 8 KiB", many(1, 8<<10-4, "h"), false},
		{"one over 8 KiB", many(1, 8<<10-3, "h"), true},
		{"32 KiB", many(4, 8<<10-4, "h"), false},
		{"over 32 KiB", append(many(4, 8<<10-4, "h"), flow.TextHeader("i", "")), true},
		{"what the product adds", many(65, 1, "millstream-ht-"), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := transport.CheckHeaders(test.headers)
			var e *flow.Error
			if refused := errors.As(err, &e) && e.Code == flow.CodeTooLarge && e.Class == flow.Permanent; refused != test.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}
