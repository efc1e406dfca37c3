package reference

import (
	"strings"

	"github.com/millstream/millstream/flow"
)

// Failure documents an error code: what error.code and the dead letter's header millstream-error-code say.
type Failure struct {
	Code flow.Code
	// Class is the class that errors of the code have, or the classes.
	Class string
	// Means says what went wrong, Do what helps.
	Means, Do string
}

// Failures documents every code of flow.Codes, in that order.
func Failures() []Failure {
	var all []Failure
	for _, code := range flow.Codes() {
		f := failures[code]
		f.Code = code
		all = append(all, f)
	}
	return all
}

var failures = map[flow.Code]Failure{
	flow.CodeDecode: {Class: "permanent", Means: "The payload is not what decode says: no JSON, a frame that is cut, bytes that do not unpack.",
		Do: "Look at the payload, and at the message for the place. Correct the sender, or write the decode that fits; what was right may be sent again."},
	flow.CodeEncode: {Class: "permanent", Means: "The body, a header or a property cannot be written in the form that the sink wants: a value that the format has no place for.",
		Do: "Bring the body into that form with transform, or write another encode."},
	flow.CodeSchema: {Class: "permanent", Means: "The body does not follow the schema of the source, or of a schema step. The message names the place in the body.",
		Do: "Correct the sender, or the schema."},
	flow.CodeExpression: {Class: "permanent", Means: "An expression failed, or gave a value of another type than its place takes: a field is missing, text is no number.",
		Do: "Try the expression with millstream eval on the message; write ?? for fields that may be missing."},
	flow.CodeFailed: {Class: "permanent", Means: "The pipeline file failed the message itself, with fail(\"…\"). The message is the text.",
		Do: "What the author of the file meant by it."},
	flow.CodeTooLarge: {Class: "permanent; config where a file unpacks to too much", Means: "Something is over a limit: the payload over max_message, headers or the message over the limit of the broker or server, " +
		"a split that gives too many messages. A dead letter with millstream-error-truncated: true has the beginning of the payload alone.",
		Do: "Raise the limit that the message names, here or at the broker, or send less at a time."},
	flow.CodeUnroutable: {Class: "permanent", Means: "The broker has no destination: no queue is bound to the exchange for this routing key, or no queue has the name.",
		Do: "Create the queue or the binding, or correct exchange and routing_key. mandatory: false lets such messages go."},
	flow.CodeRefused: {Class: "permanent or config", Means: "The other side said no for good: an HTTP answer that is no success and not one of those that pass (5xx, 408, 429), a queue or topic with other settings than the file's, " +
		"a limit on the number of files or topics, a port that speaks TLS or does not.",
		Do: "The message has the reason. Change the file to what is there, or what is there to the file."},
	flow.CodeExpired: {Class: "permanent", Means: "The time to live that the message brought along has passed.",
		Do: "Nothing, as a rule: nobody wants it any more. Where it came late, look at what it waited for."},
	flow.CodeThrottled: {Class: "permanent; transient from a server", Means: "A server asked for fewer requests (429), or the message was over the rate of a throttle step with over: error.",
		Do: "Raise the rate, or write over: wait; a throttle step before the sink or call keeps to a server's rate."},
	flow.CodeUnavailable: {Class: "transient", Means: "The other side cannot be reached, does not answer, or refuses for now: no connection, no confirmation in time, a full queue, " +
		"an HTTP answer of 5xx or 408. It is tried again as on_error.retry says.",
		Do: "Look after the server. A dead letter with this code has used up its retries; send it again when the server is back."},
	flow.CodeAuth: {Class: "config", Means: "Credentials, a certificate or a permission: a wrong password, no right to read a queue or to write to a topic, a file that may not be opened.",
		Do: "Give the right, or the right credentials. A reload tries a paused message again."},
	flow.CodeMissing: {Class: "config", Means: "What should exist does not: a vhost, a queue, an exchange, a topic, a file.",
		Do: "Create it, or correct its name. A reload tries a paused message again."},
	flow.CodePanic: {Class: "poison; fatal in the engine", Means: "A component broke with this message: a mistake in the program or in a custom node, never in the file alone.",
		Do: "Report it, with the message and the log. The message is not tried again by itself."},
	flow.CodeProcessing: {Class: "permanent, or what the node says", Means: "A custom node returned an error of its own.",
		Do: "The node's documentation knows."},
	flow.CodeInvalidName: {Class: "permanent; config for a name in the file", Means: "A name that was made of the message cannot be one, or may not: a topic, routing key, path or URL that is too long, " +
		"has forbidden characters, or matches none of allow.",
		Do: "Correct the template, or what it takes from the message; add what is meant to allow."},
	flow.CodeStateLocked: {Class: "fatal", Means: "Another process runs the same pipeline on the same state directory.",
		Do: "End one of them, or give each a directory of its own with --state."},
	flow.CodeStateCorrupt: {Class: "fatal", Means: "What is kept in the state directory cannot be read.",
		Do: "Restore the file that the message names from a copy, or delete it: the source then begins as it did the first time."},
	flow.CodeAbandoned: {Class: "transient", Means: "The source took the message back before it was sent: the connection was lost, or the pipeline stops. No dead letter carries it.",
		Do: "Nothing: the source delivers the message again."},
	flow.CodeDeliveries: {Class: "poison", Means: "The source has delivered the message more often than max_deliveries: it may be what ends the process each time. The dead letter is whole.",
		Do: "Look at the payload and at the log of the process before; send the message again when the cause is mended."},
}

// FailurePage documents one error code.
func FailurePage(f *Failure) string {
	var p page
	p.line("## %s\n\nError code, class %s.\n\n%s\n\n%s", f.Code, f.Class, f.Means, f.Do)
	return p.String()
}

// FailuresPage lists the error codes.
func FailuresPage() string {
	var p page
	p.line("| code | class | what it means | what to do |\n|---|---|---|---|")
	for _, f := range Failures() {
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		p.line("| `%s` | %s | %s | %s |", f.Code, f.Class, cell(f.Means), cell(f.Do))
	}
	return p.String()
}

// DeadLettersDoc is docs/dead-letters.md.
func DeadLettersDoc() string {
	var p page
	p.line("%s# Dead letters\n\nWhat `then: sink` writes is a dead letter: the message as it entered the part that failed, with its key and headers, and these:\n", generated)
	p.line("| header | member of the JSON object | what it says |\n|---|---|---|")
	for _, row := range [][3]string{
		{"class", "error.class", "`transient` (its retries are used up), `permanent`, `poison`, `config` or `fatal`"},
		{"code", "error.code", "a code of the list below"},
		{"message", "error.message", "the reason, for people; 4,096 bytes at most, then `…`"},
		{"node", "error.node", "the source, node, step or sink where it failed"},
		{"pipeline", "pipeline", "the name of the pipeline"},
		{"revision", "revision", "which text of the pipeline file ran"},
		{"attempts", "attempts", "how often it was tried"},
		{"origin", "origin", "where the message came from: connector, queue, topic or file, and the position"},
		{"failed-at", "failed_at", "when, in UTC"},
		{"truncated", "truncated", "`true` where the payload is its beginning alone, since the source could not take it whole (`too_large`); else it is left out"},
	} {
		p.line("| `millstream-error-%s` | `%s` | %s |", row[0], row[1], row[2])
	}
	p.line("\nA sink that has no headers (file, stdout) gets the JSON object, which also has `payload` or `payload_base64`, `key`, `meta` and `meta_base64`.")
	p.line("Headers of an earlier dead letter are replaced. To RabbitMQ a dead letter goes with the delivery mode of its message.")
	p.line("\n## Error codes\n\n`error.code` in expressions and `millstream-error-code` are one of these; `millstream docs CODE` explains one, `millstream docs codes` prints")
	p.line("the list. The codes of findings are others: [diagnostics.md](diagnostics.md).\n\n%s", strings.TrimRight(FailuresPage(), "\n"))
	return p.String()
}
