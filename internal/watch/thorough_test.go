//go:build integration

package watch

const thorough = true
