//go:build !integration

package watch

const thorough = false
