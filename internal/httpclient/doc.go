// Package httpclient sends one HTTP request at a time, for sinks and for the verb call: with a deadline, over connections that are used
// again, to addresses that the egress policy allows, and without following redirects. It gives the answer back whatever its status is;
// StatusError says what a status means for a message. It renders no templates and knows no retries: these belong to its users and to
// the engine.
package httpclient
