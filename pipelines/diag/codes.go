package diag

import "slices"

// Code names a kind of finding. Codes are stable: scripts and docs refer to them.
type Code string

// The codes of findings. A new one gets a line here and one in Codes.
const (
	BadYAML         Code = "bad-yaml"
	BadEncoding     Code = "bad-encoding"
	TooLarge        Code = "too-large"
	TooDeep         Code = "too-deep"
	EmptyFile       Code = "empty-file"
	Unreadable      Code = "unreadable"
	FileExtension   Code = "file-extension"
	SecondDocument  Code = "second-document"
	DuplicateKey    Code = "duplicate-key"
	NonStringKey    Code = "non-string-key"
	YAMLTag         Code = "yaml-tag"
	AliasBomb       Code = "alias-bomb"
	BadAlias        Code = "bad-alias"
	BadMerge        Code = "bad-merge"
	MergeInOrdered  Code = "merge-in-ordered"
	QuoteLiteral    Code = "quote-literal"
	UnquotedColon   Code = "unquoted-colon"
	TextAfterQuote  Code = "text-after-quote"
	TextAfterList   Code = "text-after-list"
	UnquotedBraces  Code = "unquoted-braces"
	UnquotedVar     Code = "unquoted-variable"
	FlowExpression  Code = "flow-expression"
	CommentCut      Code = "comment-cut"
	YAMLAnchor      Code = "yaml-anchor"
	ReservedSign    Code = "reserved-sign"
	MissingColon    Code = "missing-colon"
	BadIndentation  Code = "bad-indentation"
	TabIndentation  Code = "tab-indentation"
	UnclosedQuote   Code = "unclosed-quote"
	UnclosedBracket Code = "unclosed-bracket"
	BadEscape       Code = "bad-escape"

	UnknownKey     Code = "unknown-key"
	MisplacedKey   Code = "misplaced-key"
	MissingKey     Code = "missing-key"
	WrongType      Code = "wrong-type"
	BadValue       Code = "bad-value"
	ConflictingKey Code = "conflicting-key"
	BadName        Code = "bad-name"
	DuplicateName  Code = "duplicate-name"
	ReservedName   Code = "reserved-name"

	UndefinedVariable    Code = "undefined-variable"
	BadVariable          Code = "bad-variable"
	VariableInKey        Code = "variable-in-key"
	VariableInExpression Code = "variable-in-expression"
	VariableNotAllowed   Code = "variable-not-allowed"
	UnreadableSecret     Code = "unreadable-secret"
	LiteralSecret        Code = "literal-secret"

	UnknownName    Code = "unknown-name"
	Cycle          Code = "cycle"
	UnusedNode     Code = "unused-node"
	UnusedSink     Code = "unused-sink"
	UnusedSource   Code = "unused-source"
	UnusedConn     Code = "unused-connection"
	UnusedTable    Code = "unused-table"
	BadTable       Code = "bad-table"
	DuplicateRow   Code = "duplicate-row"
	BadSchema      Code = "bad-schema"
	BadCodec       Code = "bad-codec"
	DuplicateFrom  Code = "duplicate-from"
	MissingCase    Code = "missing-case"
	TwoErrorRoutes Code = "two-error-routes"
	LostPart       Code = "lost-part"
	NoConnection   Code = "no-connection"
	UnreadTopic    Code = "unread-topic"
	UnwrittenTopic Code = "unwritten-topic"
	TopicRing      Code = "topic-ring"

	ExpressionSyntax          Code = "expression-syntax"
	ExpressionTooLong         Code = "expression-too-long"
	ExpressionTooDeep         Code = "expression-too-deep"
	ExpressionTooLarge        Code = "expression-too-large"
	ForeignSyntax             Code = "foreign-syntax"
	Assignment                Code = "assignment"
	InterpolationInExpression Code = "interpolation-in-expression"
	UnknownFunction           Code = "unknown-function"
	UnknownMethod             Code = "unknown-method"
	FunctionWithoutCall       Code = "function-without-call"
	WrongArguments            Code = "wrong-arguments"
	UnknownField              Code = "unknown-field"
	UnknownTable              Code = "unknown-table"
	NoMessage                 Code = "no-message"
	MisplacedDelete           Code = "misplaced-delete"
	MisplacedKeep             Code = "misplaced-keep"
	PathIntoText              Code = "path-into-text"
	DashInName                Code = "dash-in-name"
	BareText                  Code = "bare-text"
	BadPattern                Code = "bad-pattern"
	DynamicPattern            Code = "dynamic-pattern"
	LoopsTooDeep              Code = "loops-too-deep"
	SecretShown               Code = "secret-shown"
	AlwaysFails               Code = "always-fails"
	ConstantCondition         Code = "constant-condition"
	NotBool                   Code = "not-bool"
	NotList                   Code = "not-list"
	NotText                   Code = "not-text"
	TemplateOpen              Code = "template-open"
	BadTarget                 Code = "bad-target"
	UnknownTarget             Code = "unknown-target"
	NotWritable               Code = "not-writable"
	TypeMismatch              Code = "type-mismatch"
	TemplateInExpression      Code = "template-in-expression"
	ExpressionInLiteral       Code = "expression-in-literal"
	OpenDestination           Code = "open-destination"
	NotAvailable              Code = "not-available"
)

// Codes returns the closed list of codes, each with one line that says what it means.
func Codes() []CodeDoc { return slices.Clone(codes) }

// CodeDoc is a code with the line that documents it.
type CodeDoc struct {
	Code Code
	Doc  string
}

// codes is never written to; Codes hands out copies.
var codes = []CodeDoc{
	{BadYAML, "the text is not valid YAML"},
	{BadEncoding, "the file is not UTF-8, or holds control characters YAML forbids"},
	{TooLarge, "the file is larger than 1 MiB"},
	{TooDeep, "lists and mappings are nested more than 200 levels deep"},
	{EmptyFile, "the file holds no pipeline"},
	{Unreadable, "the file cannot be read"},
	{FileExtension, "a directory is searched for *.yaml only; *.yml is left out"},
	{SecondDocument, "a file holds one pipeline, this one has a second YAML document"},
	{DuplicateKey, "a mapping has the same key twice"},
	{NonStringKey, "a key is a number, a bool, null, a list or a mapping instead of text"},
	{YAMLTag, "a YAML tag (!x, !!x); in an expression the sign ! was meant"},
	{AliasBomb, "aliases expand to more than 100,000 values, or contain themselves"},
	{BadAlias, "an alias refers to an anchor that is not there"},
	{BadMerge, "a merge key << needs a mapping or a list of mappings"},
	{MergeInOrdered, "a merge key << in a mapping whose order counts (transform, route)"},
	{QuoteLiteral, "a literal that YAML dialects read differently: quote it"},
	{UnquotedColon, "a colon and a space inside an unquoted text, as in a ? b : c"},
	{TextAfterQuote, "text after a quoted scalar, as in \"a\" in xs"},
	{TextAfterList, "text after a list or mapping in brackets, as in [a, b][0]"},
	{UnquotedBraces, "{{ … }} or {…} without quotes, which YAML reads as a mapping"},
	{UnquotedVar, "${…} without quotes inside […] or {…}"},
	{FlowExpression, "an expression inside {…} or […], where commas and brackets end it"},
	{CommentCut, "space and # cut an expression short"},
	{YAMLAnchor, "& or * at the start of an expression is a YAML anchor or alias"},
	{ReservedSign, "an unquoted text starts with a sign YAML reserves (@ ` %)"},
	{MissingColon, "a line inside a mapping has no key: value"},
	{BadIndentation, "a line is indented differently from its neighbours"},
	{TabIndentation, "a tab where YAML wants spaces"},
	{UnclosedQuote, "a quoted text is never closed"},
	{UnclosedBracket, "a bracket is never closed"},
	{BadEscape, "a backslash sequence in double quotes that YAML does not know"},
	{UnknownKey, "a key nobody knows"},
	{MisplacedKey, "a key that belongs at another level"},
	{MissingKey, "a key that must be written is missing"},
	{WrongType, "a value of another kind than the field wants"},
	{BadValue, "a value of the right kind that is not allowed here"},
	{ConflictingKey, "two keys that exclude each other, or an option given twice"},
	{BadName, "a name that does not match ^[a-z][a-z0-9_-]{0,62}$"},
	{DuplicateName, "a name that is taken already"},
	{ReservedName, "a name the language keeps for itself"},
	{UndefinedVariable, "${NAME} without a default, and the environment has no NAME"},
	{BadVariable, "${…} that cannot be read as a variable"},
	{VariableInKey, "${…} in a key"},
	{VariableInExpression, "${…} in an expression: use vars"},
	{VariableNotAllowed, "${…} where the file's own text is needed"},
	{UnreadableSecret, "the file of ${file:…} cannot be read"},
	{LiteralSecret, "a warning: a password or another secret is written into the file"},
	{UnknownName, "a name that nothing in the file defines"},
	{Cycle, "nodes that feed each other in a circle"},
	{UnusedNode, "a node that nothing reads"},
	{UnusedSink, "a sink that nothing feeds"},
	{UnusedSource, "a source that nothing reads"},
	{UnusedConn, "a connection nobody uses"},
	{UnusedTable, "a table nobody uses"},
	{BadTable, "the file of a table cannot be read, lacks a column, or has a row that is not as it must be"},
	{DuplicateRow, "two rows of a table have the same key"},
	{BadCodec, "a codec whose options contradict each other, or whose schema cannot be read or used"},
	{BadSchema, "a schema that is no JSON Schema, cannot be read, or refers to something outside of it"},
	{DuplicateFrom, "a name twice in one from"},
	{MissingCase, "a from that names a router without one of its cases"},
	{TwoErrorRoutes, "a node with then and with a reader of its .errors"},
	{LostPart, "a part of the messages that a sink has no place for, and that allow_loss does not name"},
	{NoConnection, "validate --connect could not reach what a source or sink needs, was not let in, or did not find it"},
	{UnreadTopic, "a warning: a topic in memory that is written to, and that no pipeline of the process reads"},
	{UnwrittenTopic, "a warning: a topic in memory that is read, and that no pipeline of the process writes to"},
	{TopicRing, "a warning: pipelines that feed each other in a circle through topics in memory"},
	{ExpressionSyntax, "an expression that does not parse"},
	{ExpressionTooLong, "an expression of more than 16 KiB"},
	{ExpressionTooDeep, "brackets or signs nested more than 200 deep in an expression"},
	{ExpressionTooLarge, "an expression with more than 2,000 parts"},
	{ForeignSyntax, "a sign or word of another language in an expression"},
	{Assignment, "a single = in an expression, where == was meant"},
	{InterpolationInExpression, "${…} inside a text of an expression: use vars"},
	{UnknownFunction, "a function the language does not have"},
	{UnknownMethod, "x.f(): values have no methods, only functions can be called"},
	{FunctionWithoutCall, "the name of a function without its arguments"},
	{WrongArguments, "a function with too few, too many or other arguments than it takes"},
	{UnknownField, "a field that vars, source or error does not have"},
	{UnknownTable, "lookup in a table that the file does not have"},
	{NoMessage, "a part of the message where there is no message yet"},
	{MisplacedDelete, "delete anywhere but as the value of a line of transform"},
	{MisplacedKeep, "keep anywhere but as the value of a line of transform"},
	{PathIntoText, "a path into a body that is text or bytes"},
	{DashInName, "a name with a dash, which reads as a subtraction: meta.user-id"},
	{BareText, "a word, a date or a time of day without quotes of its own, where a text was meant"},
	{BadPattern, "a regular expression that cannot be read"},
	{DynamicPattern, "a regular expression that is made by the message"},
	{LoopsTooDeep, "predicates inside predicates inside predicates"},
	{SecretShown, "a secret in an expression or a field that would show it"},
	{AlwaysFails, "an expression that fails whatever the message is"},
	{ConstantCondition, "a condition that is the same for every message"},
	{NotBool, "a condition that is neither true nor false"},
	{NotList, "something else where a list is wanted"},
	{NotText, "something else where text is wanted"},
	{TemplateOpen, "{{ without }}"},
	{BadTarget, "the left side of a line of transform that cannot be read"},
	{UnknownTarget, "the left side of a line of transform that names nothing a message has"},
	{NotWritable, "the left side of a line of transform that can only be read"},
	{TypeMismatch, "an operator or function on a type it does not take"},
	{TemplateInExpression, "{{ … }} in a field that is an expression already"},
	{ExpressionInLiteral, "a literal that looks like a path of the message"},
	{OpenDestination, "a destination the message alone controls"},
	{NotAvailable, "a word the language keeps for a later release"},
}
