// Package enginetest has a source and a sink that live in memory and keep the contracts of package flow, for tests of engines, nodes and
// whole programs. It is not a stand-in for a broker: nothing survives the process.
package enginetest
