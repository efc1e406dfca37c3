// Package fleet has the pipelines of one process by name, and lets a new set of programs take over from the set that runs: pipeline by
// pipeline, each with its own success or failure, without touching what did not change. It is told what to run; it reads no files, and
// how one pipeline is exchanged while messages flow is the engine's.
package fleet
