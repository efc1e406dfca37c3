package reference

import "github.com/millstream/millstream/pipelines/diag"

// step is a small pipeline with one step.
func step(text string) string {
	return "name: example\nfrom: { stdin: {} }\nsteps:\n  - " + text + "\nto: { stdout: {} }\n"
}

// filter is a small pipeline with a condition.
func filter(condition string) string { return step("filter: " + condition) }

// between is a small pipeline with further keys at its top.
func between(lines string) string {
	return "name: example\n" + lines + "\nfrom: { stdin: {} }\nto: { stdout: {} }\n"
}

// graph is a small pipeline of parts with names.
func graph(lines string) string {
	return "name: example\nsources:\n  in: { stdin: {} }\n" + lines + "\n"
}

// Mistakes lists an example for every code, in the order of the codes. A test compiles them.
func Mistakes() []Mistake {
	return append(append(textMistakes(), fileMistakes()...), expressionMistakes()...)
}

// textMistakes are those of YAML itself.
func textMistakes() []Mistake {
	return []Mistake{
		{Code: diag.BadYAML, File: "name: example\nfrom: { stdin: {} }\nto: }\n"},
		{Code: diag.BadEncoding, Story: "A file that was saved as UTF-16 or Latin-1, or with a control character in it."},
		{Code: diag.TooLarge, Story: "A file of more than 1 MiB. Data belongs into files beside the pipeline."},
		{Code: diag.TooDeep, Story: "Lists in lists, or mappings in mappings, 200 levels deep."},
		{Code: diag.EmptyFile, File: "# nothing but a comment\n"},
		{Code: diag.Unreadable, Story: "A file that is not there, or that may not be read."},
		{Code: diag.FileExtension, Story: "A file orders.yml in a directory that millstream reads: name it orders.yaml. This is a warning."},
		{Code: diag.SecondDocument, File: between("---") + "---\nname: second\n"},
		{Code: diag.DuplicateKey, File: between("order: source\norder: none")},
		{Code: diag.NonStringKey, File: between("vars: { 1: one }")},
		{Code: diag.YAMLTag, File: filter("!body.done")},
		{Code: diag.AliasBomb, File: between("x-a: &a [*a]")},
		{Code: diag.BadAlias, File: between("order: *order")},
		{Code: diag.BadMerge, File: between("limits: { <<: 5 }")},
		{Code: diag.MergeInOrdered, File: "x-common: &common\n  body.a: 1\n" + step("transform:\n      <<: *common\n      body.b: 2")},
		{Code: diag.QuoteLiteral, File: between("vars: { code: 0123 }")},
		{Code: diag.UnquotedColon, File: filter("body.a ? body.b : body.c")},
		{Code: diag.TextAfterQuote, File: filter(`"a" in body.tags`)},
		{Code: diag.TextAfterList, File: filter("[1, 2][0] == body.a")},
		{Code: diag.UnquotedBraces, File: step("split: [body.a, body.b]")},
		{Code: diag.UnquotedVar, File: "name: example\nfrom: { kafka: { brokers: [${KAFKA}], topics: [a], group: g } }\nto: { stdout: {} }\n"},
		{Code: diag.FlowExpression, File: "name: example\nfrom: { stdin: {} }\nsteps: [{ filter: any(body.list, it > 1) }]\nto: { stdout: {} }\n"},
		{Code: diag.CommentCut, File: filter("any(body.list, # > 1)")},
		{Code: diag.YAMLAnchor, File: filter("&done")},
		{Code: diag.ReservedSign, File: filter("@body.a")},
		{Code: diag.MissingColon, File: "name: example\nfrom: { stdin: {} }\nsteps\nto: { stdout: {} }\n"},
		{Code: diag.BadIndentation, File: "name: example\nfrom:\n    stdin: {}\n  note: x\nto: { stdout: {} }\n"},
		{Code: diag.TabIndentation, File: "name: example\nfrom:\n\tstdin: {}\nto: { stdout: {} }\n"},
		{Code: diag.UnclosedQuote, File: "name: \"example\nfrom: { stdin: {} }\nto: { stdout: {} }\n"},
		{Code: diag.UnclosedBracket, File: "name: example\nfrom: { stdin: {}\nto: { stdout: {} }\n"},
		{Code: diag.BadEscape, File: filter(`"body.a matches '\d'"`)},
	}
}

// fileMistakes are those of keys, names, variables and the graph.
func fileMistakes() []Mistake {
	return []Mistake{
		{Code: diag.UnknownKey, File: between("ordre: source")},
		{Code: diag.MisplacedKey, File: "name: example\nfrom: { stdin: {} }\nto: { stdout: {}, order: source }\n"},
		{Code: diag.MissingKey, File: "from: { stdin: {} }\nto: { stdout: {} }\n"},
		{Code: diag.WrongType, File: "name: example\nfrom: { stdin: {} }\nsteps: { filter: body.a }\nto: { stdout: {} }\n"},
		{Code: diag.BadValue, File: between("order: by_name")},
		{Code: diag.ConflictingKey, File: step("filter: body.a\n    split: body.b")},
		{Code: diag.BadName, File: "name: Example\nfrom: { stdin: {} }\nto: { stdout: {} }\n"},
		{Code: diag.DuplicateName, File: graph("nodes:\n  in: { from: in, filter: body.a }\nsinks:\n  out: { from: in, stdout: {} }")},
		{Code: diag.ReservedName, File: "name: drop\nfrom: { stdin: {} }\nto: { stdout: {} }\n"},
		{Code: diag.UndefinedVariable, File: between(`limits: { max_message: "${MOST}" }`)},
		{Code: diag.BadVariable, File: between(`limits: { max_message: "${2MOST}" }`)},
		{Code: diag.VariableInKey, File: between("vars: { \"${NAME}\": 1 }")},
		{Code: diag.VariableInExpression, File: filter("body.temp > ${LIMIT}")},
		{Code: diag.VariableNotAllowed, File: "name: \"${NAME}\"\nfrom: { stdin: {} }\nto: { stdout: {} }\n"},
		{Code: diag.UnreadableSecret, File: between(`limits: { max_message: "${file:missing.txt}" }`)},
		{Code: diag.LiteralSecret, Story: "A password that stands in the file, be it as the default of a variable: password: tiger7, or url: amqp://app:tiger7@host/. Everybody who reads the file has it: write ${PASSWORD} or ${file:password.txt}. guest:guest, which RabbitMQ is installed with, is not reported. This is a warning."},
		{Code: diag.UnknownName, File: filter(`tpoic == "a"`)},
		{Code: diag.Cycle, File: graph("nodes:\n  a: { from: [in, b], filter: body.a }\n  b: { from: a, filter: body.b }\nsinks:\n  out: { from: b, stdout: {} }")},
		{Code: diag.UnusedNode, File: graph("nodes:\n  a: { from: in, filter: body.a }\nsinks:\n  out: { from: in, stdout: {} }")},
		{Code: diag.UnusedSink, File: between("sinks:\n  dead: { file: { path: dead.ndjson } }")},
		{Code: diag.UnusedSource, File: graph("  more: { generate: { body: n } }\nsinks:\n  out: { from: in, stdout: {} }")},
		{Code: diag.UnusedConn, File: between("connections:\n  k: { kafka: { brokers: [\"localhost:9092\"] } }")},
		{Code: diag.UnusedTable, Story: "A table under tables: that no expression looks into."},
		{Code: diag.BadTable, Story: "A table whose file is missing, has no such key column, or has a cell that is not of the column's type."},
		{Code: diag.DuplicateRow, Story: "A table's file with two rows that have the same key."},
		{Code: diag.BadCodec, File: "name: example\nfrom: { stdin: {}, decode: { csv: { delimiter: \"::\" } } }\nto: { stdout: {} }\n"},
		{Code: diag.BadSchema, File: "name: example\nfrom: { stdin: {}, schema: { type: objekt } }\nto: { stdout: {} }\n"},
		{Code: diag.DuplicateFrom, File: graph("sinks:\n  out: { from: [in, in], stdout: {} }")},
		{Code: diag.MissingCase, File: graph("nodes:\n  kind:\n    from: in\n    route:\n      big: body.x > 1\n      rest: else\nsinks:\n  out: { from: kind, stdout: {} }")},
		{Code: diag.TwoErrorRoutes, File: graph("nodes:\n  a: { from: in, filter: body.a, on_error: { then: drop } }\nsinks:\n  out: { from: a, stdout: {} }\n  bad: { from: a.errors, stdout: {} }")},
		{Code: diag.LostPart, Story: "A pipeline from Kafka or RabbitMQ into stdout or a file: the headers have no place there. allow_loss: [headers] lets them go. This is a warning."},
		{Code: diag.NoConnection, Story: "validate --connect on a file whose broker is down, whose password is wrong, or whose topic does not exist. The class and code in brackets are those that a message would fail with: transient may pass, config needs somebody."},
		{Code: diag.UnreadTopic, Story: "A sink memory with topic oders, and a source memory with topic orders in another file. Files that run together are to be named together."},
		{Code: diag.UnwrittenTopic, Story: "A source memory with a topic that no sink of the files named together writes to: the other pipeline's file is missing, or has a mistake."},
		{Code: diag.TopicRing, Story: "Pipeline a reads the memory topic x and writes to y, and pipeline b reads y and writes to x."},
		{Code: diag.NotAvailable, File: step("dedupe: { key: id }")},
	}
}

// expressionMistakes are those inside expressions and templates.
func expressionMistakes() []Mistake {
	return []Mistake{
		{Code: diag.ExpressionSyntax, File: filter("body.temp > > 30")},
		{Code: diag.ExpressionTooLong, Story: "An expression of more than 16 KiB. A long list belongs under vars:."},
		{Code: diag.ExpressionTooDeep, Story: "An expression with more than 200 brackets inside each other."},
		{Code: diag.ExpressionTooLarge, Story: "An expression with more than 2,000 parts. A long list belongs under vars:."},
		{Code: diag.ForeignSyntax, File: filter("body.a === 1")},
		{Code: diag.Assignment, File: filter("body.a = 1")},
		{Code: diag.InterpolationInExpression, Story: "${…} in a literal's {{ … }}, where variables are not replaced either: write it under vars:."},
		{Code: diag.UnknownFunction, File: filter("uper(body.a) == \"A\"")},
		{Code: diag.UnknownMethod, File: filter("body.a.trim() == \"a\"")},
		{Code: diag.FunctionWithoutCall, File: filter("upper == body.a")},
		{Code: diag.WrongArguments, File: filter("upper(body.a, 1) == \"A\"")},
		{Code: diag.UnknownField, File: filter("vars.limit > body.a")},
		{Code: diag.UnknownTable, File: filter("lookup(\"countries\", body.country) != nil")},
		{Code: diag.NoMessage, File: "name: example\nfrom:\n  generate:\n    body: body.a\nto: { stdout: {} }\n"},
		{Code: diag.MisplacedDelete, File: filter("(body.a ?? delete) == 1")},
		{Code: diag.MisplacedKeep, File: filter("(body.a ?? keep) == 1")},
		{Code: diag.PathIntoText, File: "name: example\nfrom: { stdin: {}, decode: text }\nsteps:\n  - filter: body.a > 1\nto: { stdout: {} }\n"},
		{Code: diag.DashInName, File: filter(`meta.user-id == "a"`)},
		{Code: diag.BareText, File: filter("body.tier == gold")},
		{Code: diag.BadPattern, File: filter(`body.a matches "("`)},
		{Code: diag.DynamicPattern, File: filter("body.a matches body.b")},
		{Code: diag.LoopsTooDeep, File: filter("any(body.a, any(it, any(it, it > 1)))")},
		{Code: diag.SecretShown, Story: "A transform that writes a constant made of a secret variable or of ${file:…} into the body. It may stand in hmac(text, vars.key)."},
		{Code: diag.AlwaysFails, File: step("transform:\n      body.a: 1 / 0")},
		{Code: diag.ConstantCondition, File: filter("1 > 0")},
		{Code: diag.NotBool, File: filter("upper(body.a)")},
		{Code: diag.NotList, File: step("split: upper(body.a)")},
		{Code: diag.NotText, File: step("log: { message: \"{{ [1] }}\" }")},
		{Code: diag.TemplateOpen, File: step("log: { message: \"{{ body.a\" }")},
		{Code: diag.BadTarget, File: step("transform:\n      body..a: 1")},
		{Code: diag.UnknownTarget, File: step("transform:\n      bdy.a: 1")},
		{Code: diag.NotWritable, File: step("transform:\n      topic: '\"a\"'")},
		{Code: diag.TypeMismatch, File: filter(`topic > 5`)},
		{Code: diag.TemplateInExpression, File: filter("\"{{ body.a }}\"")},
		{Code: diag.ExpressionInLiteral, File: "name: example\nfrom: { stdin: {} }\nto: { kafka: { brokers: [\"localhost:9092\"], topic: body.country } }\n"},
		{Code: diag.OpenDestination, File: "name: example\nfrom: { stdin: {} }\nto: { kafka: { brokers: [\"localhost:9092\"], topic: \"{{ body.country }}\" } }\n"},
	}
}
