package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

// fillRecord makes a record of what was fetched. headers is where the record's headers go; it must have room for them. Nothing is
// copied: the client does not use its fetch buffers again.
func fillRecord(to *flow.Record, from *kgo.Record, headers []flow.Header) {
	*to = flow.Record{
		Body: from.Value, Key: from.Key, Topic: from.Topic, Partition: from.Partition, Offset: from.Offset, Attempt: 1,
	}
	if from.Timestamp.UnixMilli() > 0 {
		to.Time = from.Timestamp.UnixNano()
	}
	if headers = fillHeaders(headers, from.Headers); len(headers) > 0 {
		to.Headers = headers
	}
}

// fillBatch makes the records of a batch, with one allocation for all headers.
func fillBatch(records []flow.Record, from []*kgo.Record) {
	n := 0
	for _, r := range from {
		n += len(r.Headers)
	}
	var headers []flow.Header
	if n > 0 {
		headers = make([]flow.Header, n)
	}
	for i, r := range from {
		k := len(r.Headers)
		fillRecord(&records[i], r, headers[:0:k])
		headers = headers[k:]
	}
}
