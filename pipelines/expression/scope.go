package expression

import (
	"time"

	"github.com/millstream/millstream/flow/document"
)

// Scope says what an expression may see and where the body paths it reads are declared.
type Scope struct {
	// Paths collects the body paths of the whole pipeline. All Compile calls of a pipeline share one.
	Paths *document.Paths
	// Vars are the constants of the file: vars.x is folded when the expression is compiled. They are of the types that value.Value.Box gives,
	// or a Secret.
	Vars map[string]any
	// Header says that the place is a header of a sink, where secrets may stand.
	Header bool
	// Counter makes `n` known: the running number of generate, from 0.
	Counter bool
	// It makes `it` known outside a predicate: the element that a write to list[*] is about.
	It bool
	// NoMessage takes away everything that belongs to a message: generate has none to look at.
	NoMessage bool
	// Body is what is known of body, Element of the `it` that It makes known; nil knows nothing.
	Body, Element *Shape
	// Format says how body reads; with document.Text and document.Bytes a path into it is a problem, unless Body knows what was assigned.
	Format document.Format
	// Lookup reads a table of the file; ok is false when the key is missing. What it gives is shared and of the types that value.Value.Box
	// gives. nil: the file has no tables.
	Lookup func(table, key string) (v any, ok bool, err error)
	// Tables are the names that Lookup knows; nil: names are not checked before they are used.
	Tables []string
	// TableRead, where it is set, is told each table that an expression reads; "" is one whose name only the evaluation gives.
	TableRead func(name string)
}

// Want says what the place in the file makes of the value.
type Want uint8

// What a place may want.
const (
	// WantAny takes every value that can be written as JSON.
	WantAny Want = iota
	// WantBool is a condition: known at compile time to be something else is a problem, and so is a constant.
	WantBool
	// WantList is what split takes.
	WantList
	// WantAssign is the right side of transform: delete and keep are values there, which Eval gives as value.KindDelete and KindKeep.
	WantAssign
	// WantText is what templates take: string, number, bool, time. nil, list and map are errors.
	WantText
)

// Problem is one mistake in the text.
type Problem struct {
	// From and To are offsets in runes; 0, 0 is the whole text.
	From, To int
	// Code is stable, in kebab-case.
	Code string
	// Message says what is wrong, Hint what to write instead; Hint may be empty.
	Message, Hint string
}

// Bindings are the values that do not come from the message.
type Bindings struct {
	// N is the running number that `n` reads.
	N int64
	// It is the element that `it` reads.
	It any
	// Now is the pipeline's clock where there is no message; nil takes the message's, or real time.
	Now func() time.Time
}

// The fence: what an expression may cost before and while it runs.
const (
	maxText     = 16 << 10 // bytes of an expression
	maxNesting  = 200      // brackets, unary operators in a row
	maxNodes    = 2000     // of the syntax tree
	maxVisits   = 20_000   // nodes as a walk meets them: chained comparisons share operands
	maxLoops    = 2        // predicates inside predicates
	maxPattern  = 1 << 10  // bytes of a regular expression
	maxSteps    = 1_000_000
	maxElements = 10_000   // of a list that is made or looped over
	maxString   = 16 << 20 // bytes of a string that is made
	maxResult   = 64 << 20 // bytes of a list or map, roughly
	bytesAStep  = 64       // bytes of made strings that count as one step
)
