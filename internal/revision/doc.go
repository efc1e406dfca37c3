// Package revision decides what the process runs: it takes what one look at the pipeline files gave, lets a fleet take over what is right,
// keeps for a file that is wrong what ran before, and writes a receipt of each attempt. It remembers the last good text of each pipeline in
// the state directory, for a start with a file that is wrong by then.
//
// It neither finds nor reads pipeline files, and it does not watch them: it is given a function that loads them all.
package revision
