// Package watch tells when the content of files has changed: of single files, and of the files in directories, whichever way they are
// changed. It compares content with what its user has read, so that no order of events can make it miss a change; events of the file
// system only make it look sooner.
//
// It does not say what changed, does not descend into directories, and keeps no content.
package watch
