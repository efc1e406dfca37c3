//go:build !failpoints

package failpoint

// Hit is nothing in a normal build.
func Hit(string) {}
