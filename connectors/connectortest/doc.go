// Package connectortest drives sources and sinks the way the engine does, for the tests of connectors: a host, an intake that settles
// what it takes, outgoing messages, and the suites Source and Sink that hold every connector to the contracts of package flow. It is
// not for production code.
package connectortest
