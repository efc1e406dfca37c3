package table

import (
	"path/filepath"
	"strings"
)

// Type is what the cells of a column are read as.
type Type string

// The types. A cell of a CSV file is a String where nothing is said.
const (
	Int    Type = "int"
	Float  Type = "float"
	Bool   Type = "bool"
	String Type = "string"
)

// Types are the types by the words of a pipeline file.
func Types() []string { return []string{string(Int), string(Float), string(Bool), string(String)} }

// Spec says where a table comes from and how it is read.
type Spec struct {
	// File is the path; its extension says the format: .csv, .json (a list of objects), .ndjson or .jsonl (an object a line).
	File string
	// Key is the column that rows are found by.
	Key string
	// Types are the types of columns that are not read as they come.
	Types map[string]Type
}

// Subject says which part of a Spec, or of the file, a problem is about.
type Subject uint8

// The subjects.
const (
	// AboutRow is about a place in the file.
	AboutRow Subject = iota
	// AboutFile is about the file as a whole: it cannot be read, or holds no table.
	AboutFile
	// AboutKey is about the key column, AboutType about the column that Problem.Column names in Types.
	AboutKey
	AboutType
)

// Problem is one mistake.
type Problem struct {
	About  Subject
	Column string
	// Columns are the columns that the file has, for an AboutKey or AboutType.
	Columns []string
	// Line, Col and Width are the place in the file in lines and runes from 1, of an AboutRow.
	Line, Col, Width int
	// Duplicate: the row's key has been taken by an earlier row.
	Duplicate bool
	// Message says what is wrong, Hint what to write instead; Hint may be empty.
	Message, Hint string
}

// MaxFile is the most bytes that a table's file may have.
const MaxFile = 64 << 20

// maxProblems bounds how many mistakes of one file are told.
const maxProblems = 20

// Parse reads the rows of a file's text by their keys. With problems the rows are not to be used.
func Parse(text []byte, s *Spec) (map[string]any, []Problem) {
	p := &parser{spec: s, text: text, rows: map[string]any{}, places: map[string]int{}, columns: map[string]bool{}}
	switch strings.ToLower(filepath.Ext(s.File)) {
	case ".csv":
		p.csv()
	case ".json":
		p.json()
	case ".ndjson", ".jsonl":
		p.lined()
	default:
		p.whole("the name does not say what the file holds", "name it .csv, .json, .ndjson or .jsonl")
	}
	return p.rows, p.problems
}
