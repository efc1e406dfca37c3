package flow

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Class says what can be done about a failure. It decides whether a retry makes sense.
type Class uint8

// The classes, from harmless to final.
const (
	// Transient: network, 5xx, a throttled broker. Retried.
	Transient Class = iota
	// Permanent: this message will never pass: decode, schema, expression, too large, unroutable, refused.
	Permanent
	// Poison: the message made a component panic, or was delivered too often.
	Poison
	// ConfigError: no message will pass until somebody changes something: authentication, a missing topic.
	ConfigError
	// Fatal: state on disk is corrupt or the component is broken for good.
	Fatal
)

// String gives the word used in files, headers and logs.
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case Permanent:
		return "permanent"
	case Poison:
		return "poison"
	case ConfigError:
		return "config"
	case Fatal:
		return "fatal"
	}
	return "unknown"
}

// Code says finer than Class what went wrong. The list is closed: users match on it.
type Code string

// All codes.
const (
	CodeDecode      Code = "decode"      // the payload is not what its codec expects
	CodeEncode      Code = "encode"      // the body cannot be written in the sink's format
	CodeSchema      Code = "schema"      // the body does not match its schema
	CodeExpression  Code = "expression"  // an expression failed or gave the wrong type
	CodeFailed      Code = "failed"      // fail("…") in an expression
	CodeTooLarge    Code = "too_large"   // over a limit of ours or of the broker
	CodeUnroutable  Code = "unroutable"  // the broker has no destination for it
	CodeRefused     Code = "refused"     // the other side said no for good
	CodeExpired     Code = "expired"     // its time to live has passed
	CodeThrottled   Code = "throttled"   // over the rate of a throttle node
	CodeUnavailable Code = "unavailable" // the other side cannot be reached or does not answer
	CodeAuth        Code = "auth"        // credentials or permissions
	CodeMissing     Code = "missing"     // a topic, queue or file that should exist does not
	CodePanic       Code = "panic"       // a component panicked
	CodeProcessing  Code = "processing"  // a custom node returned an error of its own
	CodeInvalidName Code = "invalid_name"
	// CodeStateLocked: another process runs the same pipeline on the same state; CodeStateCorrupt: what is kept there cannot be read.
	CodeStateLocked  Code = "state_locked"
	CodeStateCorrupt Code = "state_corrupt"
	CodeAbandoned    Code = "abandoned" // the source took the record back before it was sent
	// CodeDeliveries: the source has delivered the message more often than it may.
	CodeDeliveries Code = "deliveries"
)

// Codes lists the codes in the order in which they are documented.
func Codes() []Code {
	return []Code{
		CodeDecode, CodeEncode, CodeSchema, CodeExpression, CodeFailed, CodeTooLarge, CodeUnroutable, CodeRefused, CodeExpired, CodeThrottled,
		CodeUnavailable, CodeAuth, CodeMissing, CodePanic, CodeProcessing, CodeInvalidName, CodeStateLocked, CodeStateCorrupt, CodeAbandoned,
		CodeDeliveries,
	}
}

// Classes lists the classes, from harmless to final.
func Classes() []Class { return []Class{Transient, Permanent, Poison, ConfigError, Fatal} }

// Error is a failure with a class and a code. Components return it (wrapped or not) for everything whose class they know.
type Error struct {
	Class   Class
	Code    Code
	Message string
	// Node is the name of the node where the message failed; the engine fills it.
	Node string
	// After is how long the other side asks to be left alone before the next attempt (Retry-After); 0 where it does not say.
	After time.Duration
	// Err is the cause, for errors.Is and errors.As.
	Err error
}

// Error gives the message, with its cause when it does not say it already.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error; the format may wrap a cause with %w.
func Errorf(class Class, code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Class: class, Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// AsError finds the *Error in err's chain. An error that carries none is taken as the given class and code: a component that does
// not classify its failures gets the caller's reading of them.
func AsError(err error, class Class, code Code) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Error() == err.Error() {
			return e
		}
		return &Error{Class: e.Class, Code: e.Code, Message: err.Error(), Node: e.Node, After: e.After, Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Error{Class: Transient, Code: CodeUnavailable, Message: err.Error(), Err: err}
	}
	return &Error{Class: class, Code: code, Message: err.Error(), Err: err}
}
