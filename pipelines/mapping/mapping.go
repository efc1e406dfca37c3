// Package mapping says what becomes of each part of a message on its way from one technology to another, and with that what a pipeline
// promises from each source to each sink: delivery, order, repeats and losses. The table is data, held against the connectors' code by
// their own tests; it changes nothing of what a pipeline does.
package mapping

import "slices"

// Class is what happens to a part.
type Class string

// The classes, from the best to the worst.
const (
	// Exact: the same value in the same place.
	Exact Class = "exact"
	// Renamed: the same value under another name.
	Renamed Class = "renamed"
	// Coerced: the value changes its type or precision, or becomes a fixed one.
	Coerced Class = "coerced"
	// Folded: the value is in a header, as the protocol has no place for it.
	Folded Class = "folded"
	// Emulated: the engine does what the target cannot.
	Emulated Class = "emulated"
	// Dropped: the value gets lost. A file must allow it with allow_loss.
	Dropped Class = "dropped"
	// Refused: a message with this part is an error.
	Refused Class = "refused"
)

// The parts of a message, by the names that allow_loss takes.
const (
	body            = "body"
	noPayload       = "no_payload"
	key             = "key"
	headers         = "headers"
	eventTime       = "time"
	contentType     = "content_type"
	contentEncoding = "content_encoding"
	correlationID   = "correlation_id"
	replyTo         = "reply_to"
	messageID       = "message_id"
	kind            = "type"
	appID           = "app_id"
	userID          = "user_id"
	ttl             = "ttl"
	priority        = "priority"
	durable         = "durable"
)

// Parts lists the parts in the order in which they are shown.
func Parts() []string {
	return []string{body, noPayload, key, headers, eventTime, contentType, contentEncoding, correlationID, replyTo, messageID, kind, appID,
		userID, ttl, priority, durable}
}

// Entry is what happens to one part.
type Entry struct {
	Part  string `json:"part"`
	Class Class  `json:"class"`
	// Note says how, where the class alone does not.
	Note string `json:"note,omitempty"`
}

// Between gives an entry for each part that messages of a source can have. ok is false when one of the two connectors is not in the
// table.
func Between(source, sink string) (entries []Entry, ok bool) {
	from, ok1 := given[source]
	to, ok2 := taken[sink]
	if !ok1 || !ok2 {
		return nil, false
	}
	entries = []Entry{}
	for _, part := range Parts() {
		if !slices.Contains(from, part) {
			continue
		}
		e, listed := to.parts[part]
		if !listed {
			e = to.rest
		}
		if special, ok := to.from[source][part]; ok {
			e = special
		}
		e.Part = part
		entries = append(entries, e)
	}
	return entries, true
}

// Sources and Sinks list the connectors of the table.
func Sources() []string { return names(given) }

// Sinks is like Sources.
func Sinks() []string { return names(taken) }

func names[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
