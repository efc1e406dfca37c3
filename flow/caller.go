package flow

import "context"

// Caller is a Processor that asks somebody outside and goes on with the answer. The tests in a pipeline file answer in their place.
type Caller interface {
	Processor
	// Answering gives the same processor with another way of asking: answer is called, concurrently, instead of sending anything. Its error
	// is what the processor fails with.
	Answering(answer func(ctx context.Context, q Question) (*Answer, error)) Processor
}

// Question is what a Caller asks, as far as it can be shown.
type Question struct {
	// Method and URL are those of the request.
	Method, URL string
}

// Answer is what it is told.
type Answer struct {
	Status  int
	Headers map[string]string
	// Body is the payload; nil is none. It is JSON unless Headers say otherwise.
	Body []byte
}
