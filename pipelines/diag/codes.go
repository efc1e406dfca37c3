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

	UnknownName    Code = "unknown-name"
	Cycle          Code = "cycle"
	UnusedNode     Code = "unused-node"
	UnusedSink     Code = "unused-sink"
	UnusedSource   Code = "unused-source"
	UnusedConn     Code = "unused-connection"
	UnusedTable    Code = "unused-table"
	DuplicateFrom  Code = "duplicate-from"
	MissingCase    Code = "missing-case"
	TwoErrorRoutes Code = "two-error-routes"

	BadExpression        Code = "bad-expression"
	TypeMismatch         Code = "type-mismatch"
	BadTemplate          Code = "bad-template"
	TemplateInExpression Code = "template-in-expression"
	ExpressionInLiteral  Code = "expression-in-literal"
	OpenDestination      Code = "open-destination"
	HyphenSubtraction    Code = "hyphen-subtraction"
	NotAvailable         Code = "not-available"
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
	{UnknownName, "a name that nothing in the file defines"},
	{Cycle, "nodes that feed each other in a circle"},
	{UnusedNode, "a node that nothing reads"},
	{UnusedSink, "a sink that nothing feeds"},
	{UnusedSource, "a source that nothing reads"},
	{UnusedConn, "a connection nobody uses"},
	{UnusedTable, "a table nobody uses"},
	{DuplicateFrom, "a name twice in one from"},
	{MissingCase, "a from that names a router without one of its cases"},
	{TwoErrorRoutes, "a node with then and with a reader of its .errors"},
	{BadExpression, "an expression that does not parse"},
	{TypeMismatch, "an operator or function on a type it does not take"},
	{BadTemplate, "a {{ … }} template that cannot be read"},
	{TemplateInExpression, "{{ … }} in a field that is an expression already"},
	{ExpressionInLiteral, "a literal that looks like a path of the message"},
	{OpenDestination, "a destination the message alone controls"},
	{HyphenSubtraction, "meta.user-id is a subtraction"},
	{NotAvailable, "a word the language keeps for a later release"},
}
