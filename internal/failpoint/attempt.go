package failpoint

// The places around a reload, outside of the engine.
const (
	ReloadLoaded  = "reload_loaded"  // the files are read and compiled, nothing has changed
	ReloadApplied = "reload_applied" // the new revision runs, and is not remembered
	ReloadKept    = "reload_kept"    // it is remembered
)
