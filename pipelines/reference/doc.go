// Package reference says what may stand in a pipeline file: it reads the structs that the decoder fills (the file's own, those of verbs
// and connectors) into one description, the Grammar, and makes of it the editor schema, the pages of verbs and connectors, and the
// answers of `millstream docs`. What the structs say nothing about (the lines of text) comes from their doc comments, which a generator
// collects into comments.json, and from the table of the language's own keys in keys.go.
//
// It compiles nothing and finds no mistakes: a schema is a help while writing, validate is the judge.
package reference
