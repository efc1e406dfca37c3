package mapping

// given are the parts that messages of a source can have. Nobody writes to these tables.
var given = map[string][]string{
	"stdin":    {body},
	"generate": {body},
	"file":     {body},
	"memory":   Parts(),
	"http":     {body, key, headers, eventTime, contentType},
	"kafka":    {body, noPayload, key, headers, eventTime},
	"amqp": {body, noPayload, key, headers, eventTime, contentType, contentEncoding, correlationID, replyTo, messageID, kind, appID, userID,
		ttl, priority, durable},
}

// target is what a sink does with parts: parts it lists, all others, and those of particular sources.
type target struct {
	parts map[string]Entry
	rest  Entry
	from  map[string]map[string]Entry
}

// lines are the sinks that write payloads and nothing else.
var lines = target{
	rest: Entry{Class: Dropped, Note: "a line holds the payload alone"},
	parts: map[string]Entry{
		body:      {Class: Exact},
		noPayload: {Class: Coerced, Note: "an empty line"},
	},
}

var taken = map[string]target{
	"stdout": lines,
	"file": {
		rest: Entry{Class: Dropped, Note: "a file holds payloads alone"},
		parts: map[string]Entry{
			body:      {Class: Exact},
			noPayload: {Class: Coerced, Note: "an empty line; refused with framing: whole"},
		},
	},
	"memory": {rest: Entry{Class: Exact}},
	"kafka": {
		rest: Entry{Class: Dropped},
		parts: map[string]Entry{
			body:      {Class: Exact},
			noPayload: {Class: Exact, Note: "a null value"},
			key:       {Class: Exact},
			headers: {Class: Coerced,
				Note: "to text, with the type in millstream-ht-NAME; those of one connection, of credentials, and x-death stay behind"},
			eventTime:       {Class: Exact, Note: "in milliseconds"},
			contentType:     {Class: Renamed, Note: "header content-type"},
			contentEncoding: {Class: Renamed, Note: "header content-encoding"},
			correlationID:   {Class: Folded, Note: "header millstream-correlation-id"},
			replyTo:         {Class: Folded, Note: "header millstream-reply-to; the way back is not bridged"},
			messageID:       {Class: Folded, Note: "header millstream-message-id"},
			kind:            {Class: Folded, Note: "header millstream-type"},
			appID:           {Class: Folded, Note: "header millstream-app-id"},
			userID:          {Class: Folded, Note: "header millstream-user-id"},
			ttl:             {Class: Folded, Note: "headers millstream-ttl-ms and millstream-expires-at; a topic does not let single records expire"},
			priority:        {Class: Folded, Note: "header millstream-priority; a topic has none"},
			durable:         {Class: Coerced, Note: "records are always durable"},
		},
		from: map[string]map[string]Entry{"kafka": {headers: {Class: Exact}}},
	},
	"amqp": {
		rest: Entry{Class: Dropped},
		parts: map[string]Entry{
			body:            {Class: Exact},
			noPayload:       {Class: Folded, Note: "header millstream-tombstone and an empty payload"},
			key:             {Class: Folded, Note: "header millstream-key, as bytes where it is no text"},
			headers:         {Class: Coerced, Note: "to a table: in no order, repeated names as one JSON array; CC, BCC and x-death stay behind"},
			eventTime:       {Class: Folded, Note: "timestamp has seconds, header timestamp_in_ms the rest"},
			contentType:     {Class: Exact},
			contentEncoding: {Class: Exact},
			correlationID:   {Class: Exact, Note: "as text, else base64 and named in millstream-b64; over 255 bytes in header millstream-correlation-id"},
			replyTo:         {Class: Folded, Note: "header millstream-reply-to; the way back is not bridged"},
			messageID:       {Class: Exact},
			kind:            {Class: Exact},
			appID:           {Class: Exact},
			userID:          {Class: Folded, Note: "header millstream-user-id, unless the connection logs in as that user"},
			ttl:             {Class: Exact, Note: "less what has passed of it"},
			priority:        {Class: Exact},
			durable:         {Class: Coerced, Note: "messages are always persistent"},
		},
		from: map[string]map[string]Entry{
			"amqp": {
				headers: {Class: Exact, Note: "but for CC, BCC and x-delivery-count, which speak about one queue"},
				replyTo: {Class: Exact}, durable: {Class: Exact}, correlationID: {Class: Exact}, eventTime: {Class: Exact},
				noPayload: {Class: Exact, Note: "header millstream-tombstone"}, key: {Class: Exact, Note: "header millstream-key"},
				ttl: {Class: Exact, Note: "less what has passed of it"},
			},
			"kafka": {headers: {Class: Coerced,
				Note: "to a table: in no order, repeated names as one JSON array, text where it is UTF-8; CC and BCC stay behind; " +
					"content-type and the millstream- headers of properties become properties"}},
		},
	},
	"http": {
		rest: Entry{Class: Dropped},
		parts: map[string]Entry{
			body:            {Class: Exact},
			noPayload:       {Class: Folded, Note: "header millstream-tombstone and no body"},
			key:             {Class: Folded, Note: "header millstream-key"},
			headers:         {Class: Coerced, Note: "to text; a value that HTTP does not allow as base64, named in millstream-b64"},
			eventTime:       {Class: Folded, Note: "header millstream-time"},
			contentType:     {Class: Renamed, Note: "header content-type"},
			contentEncoding: {Class: Renamed, Note: "header content-encoding"},
			correlationID:   {Class: Folded, Note: "header millstream-correlation-id"},
			replyTo:         {Class: Folded, Note: "header millstream-reply-to; the way back is not bridged"},
			messageID:       {Class: Folded, Note: "header millstream-message-id"},
			kind:            {Class: Folded, Note: "header millstream-type"},
			appID:           {Class: Folded, Note: "header millstream-app-id"},
			userID:          {Class: Folded, Note: "header millstream-user-id"},
			ttl:             {Class: Emulated, Note: "what has expired before it is sent is an error of code expired"},
			priority:        {Class: Folded, Note: "header millstream-priority"},
			durable:         {Class: Coerced, Note: "what a server keeps is its own affair"},
		},
		from: map[string]map[string]Entry{"http": {headers: {Class: Exact}}},
	},
	"drop": {rest: Entry{Class: Exact, Note: "nothing is sent, by the file's word"}},
}
